"""Measurements of the pipeline: each script starts what it needs, and leaves its figures in `bench/results`."""
