"""What it costs to join the rows of a large batch with their outcomes, and to write that in each format."""
