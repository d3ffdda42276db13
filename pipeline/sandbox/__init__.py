"""Call a function in a child process with limits. Imports the errors and the units only."""
