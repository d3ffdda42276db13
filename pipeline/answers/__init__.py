"""Outcomes of items, the answer of a task, the reply of a call, kinds of failure. Imports the base only."""
