"""Redis and S3 on this machine, and the processes that run them."""
