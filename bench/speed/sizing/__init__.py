"""The needs of a batch of Redis, S3 and the queue, measured for sizing them."""
