"""Write and publish the outputs of an ended batch: summary, joined table, report. Imports batch and below."""
