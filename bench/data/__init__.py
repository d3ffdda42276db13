"""The cost of inputs, outputs and queries of a million rows, each case in a process of its own."""
