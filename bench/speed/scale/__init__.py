"""One batch over three orders of magnitude: what an item costs at each size, and what a hundred million would."""
