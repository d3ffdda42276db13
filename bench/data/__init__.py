"""The cost of inputs, outputs and queries of a million rows, and the same rows in and out of a whole stack."""
