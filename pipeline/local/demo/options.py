"""The options of the demo, checked before anything starts."""

from __future__ import annotations

import csv
import re
import symtable
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiohttp import ClientError, ClientSession, ClientTimeout

from pipeline.client import SpecFields
from pipeline.local.openfaas.functions import FunctionSpec

MODEL_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
MODEL_REPLICAS = 2
URL_TIMEOUT = ClientTimeout(total=10)
RESERVED = "pipeline"


class UserError(Exception):
    """An unusable option; the message is one line with the option and the reason."""


@dataclass(frozen=True)
class Options:
    """One run of the demo.

    The defaults for None: `csv` is a generated one of `count` rows, `function` the classifier, `column` the one named
    `url` or the only one, `chunk` (items per task, or "auto") the pipeline's own default. With `chunk_call` the
    function gets a task's items in one call.
    """

    csv: Path | None = None
    function: str | None = None
    column: str | None = None
    count: int = 200
    workers: int = 4
    chunk: int | Literal["auto"] | None = None
    chunk_call: bool = False

    def fields(self, column: str, function: str) -> SpecFields:
        """Return the fields of a specification, without its input."""
        fields = SpecFields(column=column, function=function)
        if self.chunk is not None:
            fields["chunk"] = self.chunk
        if self.chunk_call:
            fields["chunk_call"] = True
        return fields


@dataclass(frozen=True)
class Table:
    """A CSV: its bytes (UTF-8) and the column whose cells become items."""

    content: bytes
    column: str


def read_table(path: Path, column: str | None) -> Table:
    """Read a CSV and choose its column; raises `UserError` if either fails."""
    try:
        content = path.read_bytes()
        header = next(csv.reader([_first_line(content)]), [])
    except OSError as error:
        raise UserError(f"the CSV {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"the CSV {path} is not UTF-8 text; another format is submitted while `make up` runs"
        ) from error
    if not header:
        raise UserError(f"the CSV {path} has no header line")
    return Table(content, _choose_column(header, column, path))


def _first_line(content: bytes) -> str:
    return content[:1_000_000].partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")


def _choose_column(header: list[str], column: str | None, path: Path) -> str:
    if column is None and len(header) == 1:
        return header[0]
    name = column or "url"
    if name in header:
        return name
    columns = ", ".join(header)
    if column is None:
        raise UserError(f"which column of {path}? Give --column, one of: {columns}")
    raise UserError(f"the CSV {path} has no column {column!r}, its columns are: {columns}")


def classifier() -> FunctionSpec:
    """Return the demo's model function."""
    command = (sys.executable, "-m", "pipeline.local.demo.classify")
    # One core per replica: more threads would only compete with each other.
    return FunctionSpec(name="classify", command=command, environment=MODEL_ENVIRONMENT, replicas=MODEL_REPLICAS)


def parse_function(option: str | None) -> FunctionSpec:
    """Parse `--function`: a handler file, the URL of a running service, or a command that listens on `$port`.

    None is the demo's classifier. Raises `UserError` for a file that is missing or defines no `handle`.
    """
    if option is None:
        return classifier()
    if re.match(r"https?://", option):
        return FunctionSpec(name="function", url=option)
    path = Path(option)
    if path.is_file() or re.fullmatch(r"\S+\.py", option):
        _check_handler(path)
        command = (sys.executable, "-m", "pipeline.local.serve_handler", str(path.resolve()))
        return FunctionSpec(name=_name_for(path), command=command)
    if not option.strip():
        raise UserError("--function is empty: give a Python file, a command or a URL")
    if path.is_dir():
        raise UserError(f"the function {option} is a folder: give the Python file in it, a command or a URL")
    return FunctionSpec(name="function", command=("/bin/sh", "-c", option), ready_path="/")


async def check_answers(url: str) -> None:
    """Raise `UserError` unless a URL answers over HTTP, with any status."""
    try:
        async with ClientSession(timeout=URL_TIMEOUT) as session, session.get(url):
            return
    except (ClientError, TimeoutError, ValueError) as error:
        raise UserError(f"the function {url} does not answer: {error or 'it took too long'}") from error


def _check_handler(path: Path) -> None:
    try:
        code = path.read_bytes()
        names = symtable.symtable(code, str(path), "exec")  # type: ignore[arg-type] # bytes declare their encoding
    except OSError as error:
        raise UserError(f"the function {path} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"the function {path} is not Python: {error}") from error
    defines_handle = any(name.get_name() == "handle" and name.is_local() for name in names.get_symbols())
    # A star import may define it, which only running the file shows.
    if not defines_handle and b"import *" not in code:
        raise UserError(f"the function {path} defines no handle: write `def handle(event, context)`")


def _name_for(path: Path) -> str:
    """Name a function after its file, or after its folder if the file is `handler.py`, as in OpenFaaS' templates."""
    resolved = path.resolve()
    stem = resolved.parent.name if resolved.stem == "handler" else resolved.stem
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name if name and name != RESERVED else "function"
