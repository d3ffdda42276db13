"""What reading inputs and writing outputs of a million rows costs, each case in a process of its own."""
