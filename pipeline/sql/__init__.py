"""SQL over the results of a batch: checked and run by DuckDB in child processes."""
