"""WebhookSigner: their signatures, and the HTTP client for the URLs of strangers. Imports answers and the base only."""
