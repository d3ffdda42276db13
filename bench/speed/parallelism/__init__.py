"""Throughput and its cost against queue-worker parallelism, beside a bare queue that does nothing else."""
