"""Find, open, read and cut an input. Imports the context and below."""
