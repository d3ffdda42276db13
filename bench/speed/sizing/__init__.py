"""What a batch takes of Redis, S3 and the queue, measured for sizing them."""
