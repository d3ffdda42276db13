"""Batches under faults, each judged by a checker that uses no code of the pipeline."""
