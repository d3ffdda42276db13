"""Settings from the environment and secrets from files. Imports the base only."""
