"""What all commands have in common: their options, and how they end."""

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
        help="A file with the token, where the function asks for one. PIPELINE_TOKEN may hold the token itself.",
    ),
]
Patience = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="For how long what may pass is tried again, such as a 503.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one document, or with --watch one a line.")]


@dataclass(frozen=True)
class Setup:
    """The common options, and where to print: `out` is what was asked for, `err` is said beside it."""

    gateway: str
    name: str
    token_file: Path | None
    token: str | None = field(repr=False)
    patience: float
    as_json: bool
    out: Console
    err: Console

    def pipeline(self, patience: float | None = None) -> Pipeline:
        """Make a client; raises typer.BadParameter for an address or a token that cannot be used."""
        try:
            return Pipeline(
                self.gateway,
                self.name,
                token=self.token,
                patience=self.patience if patience is None else patience,
                tell=self._tell,
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    def document(self, value: Any) -> None:
        """Print one JSON document on one line, in ASCII: no terminal takes any of it for a command."""
        typer.echo(json.dumps(msgspec.to_builtins(value)))

    def say(self, text: str) -> None:
        """Say something beside the output, unbroken."""
        self.err.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def show(self, text: str) -> None:
        """Print a line of output, unbroken."""
        self.out.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def _tell(self, error: CallError) -> None:
        self.say(f"{error}; trying again for up to {self.patience:g} s")


def command(work: Callable[..., Coroutine[Any, Any, Exit]], **groups: Callable[..., Any]) -> Callable[..., None]:
    """Make a command of a coroutine function.

    Its parameters are options, but for `setup`, which is made of the common ones, and for each of `groups`: it is what
    the function of that name makes of options of its own.
    """
    makers = {**groups, "setup": _setup}
    members = {
        name: list(inspect.signature(maker, eval_str=True).parameters.values()) for name, maker in makers.items()
    }
    own = [each for each in inspect.signature(work, eval_str=True).parameters.values() if each.name not in makers]
    parameters = sorted([*own, *itertools.chain(*members.values())], key=lambda each: each.kind)

    @functools.wraps(work)
    def run(**given: Any) -> None:
        made = {
            name: maker(**{each.name: given.pop(each.name) for each in members[name]}) for name, maker in makers.items()
        }
        raise typer.Exit(_run(work(**made, **given)))

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _setup(
    *,
    gateway: Gateway = GATEWAY,
    pipeline_name: PipelineName = FUNCTION,
    token_file: TokenFile = None,
    patience: Patience = PATIENCE,
    as_json: AsJson = False,
) -> Setup:
    # A terminal that cannot show a letter is shown its number, as stderr does by itself.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    token = _read_token(token_file)
    return Setup(gateway, pipeline_name, token_file, token, patience, as_json, Console(), Console(stderr=True))


def _read_token(path: Path | None) -> str | None:
    """Return the token of a file, of its first line where there are several, or the environment's."""
    if path is None:
        return os.environ.get("PIPELINE_TOKEN", "").strip() or None
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise typer.BadParameter(f"the token file {path} cannot be read: {reason}") from error
    token = next((line.strip() for line in lines if line.strip()), None)
    if token is None:
        raise typer.BadParameter(f"the token file {path} is empty")
    return token


def _run(work: Coroutine[Any, Any, Exit]) -> Exit:
    try:
        return asyncio.run(work)
    except CallError as error:
        typer.echo(f"error: {error}", err=True)
        return _code(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        typer.echo(f"error: {one_line(str(error))}", err=True)
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _code(error: CallError) -> Exit:
    if isinstance(error, SourceError):
        return Exit.USAGE
    return Exit.REFUSED if isinstance(error, RefusedError) else Exit.BROKEN


def code_of(progress: Progress) -> Exit:
    """Return how a command about a batch ends: only a batch that has ended can be flawed."""
    return Exit.FLAWED if progress.over and not progress.flawless else Exit.DONE
