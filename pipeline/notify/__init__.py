"""Tell others that a batch has ended. Imports tasks, inputs, status and below."""
