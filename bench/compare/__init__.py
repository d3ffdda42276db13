"""The pipeline beside other ways of doing the same job."""
