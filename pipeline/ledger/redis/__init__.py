"""The connection to Redis: client, pipelining, retries, errors."""
