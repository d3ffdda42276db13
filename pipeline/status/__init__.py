"""What is known of a batch: the status document, lists, streams, what S3 keeps. Imports the context and below."""
