"""What every bench needs: a stack, meters, the machine, tables, charts, one way to publish, one to end a command."""
