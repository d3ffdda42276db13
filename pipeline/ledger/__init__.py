"""The state of batches in Redis: scripts, commands, replies. The only user of redis. Imports openfaas and below."""
