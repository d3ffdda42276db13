"""SQL over the results of a batch: checked, rewritten, and run by polars in a process apart."""
