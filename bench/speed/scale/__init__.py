"""One batch at sizes over three orders of magnitude: the cost of an item, and a plan for a hundred million."""
