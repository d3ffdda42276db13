"""What a submission may say: each field once, with its rule and default. Imports the base only."""
