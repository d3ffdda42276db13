"""Notify targets of the end of a batch: attempts, the message, the answer of `reduce`. Imports status and below."""
