"""The cost of watching a batch, the speed of its page over a large one, and the picture of that page."""
