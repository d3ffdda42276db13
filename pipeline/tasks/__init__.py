"""One task: release, run, call, settle. Imports the context and below."""
