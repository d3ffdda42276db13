"""The life of a batch around its tasks: open, generations, sweep, rebuild, delete. Imports notify and below."""
