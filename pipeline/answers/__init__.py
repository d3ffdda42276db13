"""What becomes of items: outcomes, the envelope of a task, kinds of failure. Imports the base only."""
