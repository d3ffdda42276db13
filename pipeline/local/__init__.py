"""A laptop's OpenFaaS: a gateway and queue-worker stand-in, real Redis, real S3, functions as processes."""
