"""What watching a batch costs, whether its page stays responsive over a large one, and the picture of that page."""
