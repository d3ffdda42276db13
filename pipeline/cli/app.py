"""The commands."""

from __future__ import annotations

import typer

from pipeline.cli.batches import cancel, delete, list_batches, pause, redrive, resume, status, tune
from pipeline.cli.command import command
from pipeline.cli.doctor import doctor
from pipeline.cli.results import results
from pipeline.cli.submit import spec_fields, submit

HELP = """Run an OpenFaaS function over a dataset: submit batches, watch and control them, fetch their results.

\b
Exit codes:
  0    done, or still running
  1    the batch ended with failed items or is not done; doctor: a check failed
  2    the command line, or a local file, is not usable
  3    refused: the answer is a 4xx
  4    no answer, or a 5xx
  130  interrupted; the batch continues
"""

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(command(submit, fields=spec_fields))
for function in (status, cancel, pause, resume, tune, redrive, delete, results, doctor):
    app.command()(command(function))
app.command("list")(command(list_batches))
