"""OpenFaaS on a laptop: stand-ins for gateway and queue-workers, real Redis and S3, functions as processes."""
