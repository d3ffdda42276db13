"""Redis and S3 on this machine, and the child processes behind them."""
