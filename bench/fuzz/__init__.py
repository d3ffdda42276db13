"""Hostile requests at the real function, each answer held against the description of the API."""
