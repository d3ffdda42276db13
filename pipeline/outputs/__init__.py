"""Write what a batch has come to: summary, joined table, report. Imports batch and below."""
