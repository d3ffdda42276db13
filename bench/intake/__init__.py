"""What it costs to open an input of each format, and to cut it into a snapshot."""
