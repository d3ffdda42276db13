"""The gateway and the signatures: the only HTTP client of the platform. Imports answers, spec and below."""
