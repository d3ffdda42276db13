"""Other ways of doing the pipeline's job, in an environment of their own; they import nothing of the project."""
