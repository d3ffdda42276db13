"""What it costs to watch a batch, and whether the page stays responsive over a large one."""
