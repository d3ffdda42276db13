"""The shared parts of all commands: common options, output and exit codes."""

import asyncio
import functools
import inspect
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from pipeline.client import CallError, Pipeline, Progress, RefusedError, SourceError
from pipeline.client.pipeline import FUNCTION, PATIENCE
from pipeline.client.terminal_text import one_line

GATEWAY = "http://127.0.0.1:8080"


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    FLAWED = 1
    USAGE = 2
    REFUSED = 3
    BROKEN = 4
    INTERRUPTED = 130


Gateway = Annotated[str, typer.Option(envvar="OPENFAAS_URL", metavar="URL", help="The gateway's address.")]
PipelineName = Annotated[str, typer.Option(metavar="NAME", help="Name under which the pipeline is deployed.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        envvar="PIPELINE_TOKEN_FILE",
        metavar="FILE",
        help="A file with the token, if the function requires one. PIPELINE_TOKEN may hold the token itself.",
    ),
]
Patience = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="How long to retry after errors that may pass, such as a 503.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one document, or with --watch one per line.")]


@dataclass(frozen=True)
class Setup:
    """The common options, and the consoles: `out` for the output, `err` for messages beside it."""

    gateway: str
    name: str
    token_file: Path | None
    token: str | None = field(repr=False)
    patience: float
    as_json: bool
    out: Console
    err: Console

    def pipeline(self, patience: float | None = None) -> Pipeline:
        """Make a client; raises typer.BadParameter for an unusable address or token."""
        try:
            return Pipeline(
                self.gateway,
                self.name,
                token=self.token,
                patience=self.patience if patience is None else patience,
                tell=self._print_retry,
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    def print_json(self, value: Any) -> None:
        """Print one JSON document on one line, in ASCII, so that it holds no control characters."""
        typer.echo(json.dumps(msgspec.to_builtins(value)))

    def print_message(self, text: str) -> None:
        """Print a message beside the output, without line breaks."""
        self.err.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def print_line(self, text: str) -> None:
        """Print a line of output, without line breaks."""
        self.out.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def _print_retry(self, error: CallError) -> None:
        self.print_message(f"{error}; retrying for up to {self.patience:g} s")


def command(function: Callable[..., Coroutine[Any, Any, Exit]], **groups: Callable[..., Any]) -> Callable[..., None]:
    """Make a command of a coroutine function whose parameters are the command's options.

    Two kinds of parameters are not options: `setup` is made from the common options, and a parameter that `groups`
    names is made by that function from the function's own options.
    """
    makers = {**groups, "setup": _setup}
    group_options = {
        name: list(inspect.signature(maker, eval_str=True).parameters.values()) for name, maker in makers.items()
    }
    function_parameters = inspect.signature(function, eval_str=True).parameters.values()
    own_options = [parameter for parameter in function_parameters if parameter.name not in makers]
    options = [*own_options, *itertools.chain(*group_options.values())]
    options.sort(key=lambda parameter: parameter.kind)

    @functools.wraps(function)
    def run(**values: Any) -> None:
        made = {
            name: maker(**{option.name: values.pop(option.name) for option in group_options[name]})
            for name, maker in makers.items()
        }
        raise typer.Exit(_run(function(**made, **values)))

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _setup(
    *,
    gateway: Gateway = GATEWAY,
    pipeline_name: PipelineName = FUNCTION,
    token_file: TokenFile = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> Setup:
    # A character that the terminal cannot show is escaped, as stderr does by default.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    token = _read_token(token_file)
    return Setup(gateway, pipeline_name, token_file, token, patience, as_json, Console(), Console(stderr=True))


def _read_token(path: Path | None) -> str | None:
    """Return the token from the first line of a file with text, else from the environment."""
    if path is None:
        return os.environ.get("PIPELINE_TOKEN", "").strip() or None
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise typer.BadParameter(f"the token file {path} cannot be read: {reason}") from error
    token = next((line.strip() for line in lines if line.strip()), None)
    if token is None:
        raise typer.BadParameter(f"the token file {path} is empty")
    return token


def _run(coroutine: Coroutine[Any, Any, Exit]) -> Exit:
    try:
        return asyncio.run(coroutine)
    except CallError as error:
        typer.echo(f"error: {error}", err=True)
        return _exit_of_error(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        typer.echo(f"error: {one_line(str(error))}", err=True)
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _exit_of_error(error: CallError) -> Exit:
    if isinstance(error, SourceError):
        return Exit.USAGE
    return Exit.REFUSED if isinstance(error, RefusedError) else Exit.BROKEN


def exit_of_batch(progress: Progress) -> Exit:
    """Return the exit code of a command about a batch: only an ended batch can be flawed."""
    return Exit.FLAWED if progress.over and not progress.flawless else Exit.DONE
