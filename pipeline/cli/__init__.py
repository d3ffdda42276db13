"""The command line: `pipeline submit`, `status`, `results` and so on. It is the client with words around it."""
