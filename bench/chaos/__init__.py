"""Batches under faults, each judged by a checker that knows nothing of how the pipeline works inside."""
