"""Tasks and the messages for them: release, run, call, settle. Imports the context and below."""
