"""Measurements of the pipeline and attacks on it: each starts the services it needs and writes to `bench/results`."""
