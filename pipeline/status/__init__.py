"""The state of a batch: its document, lists and streams, and its marks in S3. Imports the context and below."""
