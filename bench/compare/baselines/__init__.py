"""Other ways of doing what the pipeline does, in an environment of their own; they use nothing of the project."""
