"""The parts that benches share: command line, stack, meters, machine, rows and pages, charts."""
