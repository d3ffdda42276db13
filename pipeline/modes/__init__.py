"""The modes of the function: one file each, none imports another."""
