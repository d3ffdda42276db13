"""The life of a batch around its tasks: open, control, rerun, sweep, rebuild, delete. Imports notify and below."""
