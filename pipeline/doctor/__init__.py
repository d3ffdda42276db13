"""The checks of the mode `doctor`, one file for each service or subject. Imports batch and below."""
