"""The command line: `pipeline submit`, `status`, `results` and so on, on top of the client."""
