"""The checks of `doctor`, one file a service. Imports batch and below."""
