"""What a user gives on the command line, checked before anything is started."""

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
    """Something the user gave cannot be used; the text is one line that says what and why."""


@dataclass(frozen=True)
class Options:
    """One run of the demo.

    `csv` None means the CSV that is made, of `count` rows; `function` None means the classifier; `column` None means
    the column that is called `url` or the only one; `chunk` (items a task, or "auto") None means what the pipeline
    does by itself; with `chunk_call` the function gets a task's items in one call.
    """

    csv: Path | None = None
    function: str | None = None
    column: str | None = None
    count: int = 200
    workers: int = 4
    chunk: int | Literal["auto"] | None = None
    chunk_call: bool = False

    def fields(self, column: str, function: str) -> SpecFields:
        """Make the specification of a batch, without its input."""
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
    """Read a CSV and settle its column; raises `UserError` when either does not work out."""
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
    return Table(content, _choose(header, column, path))


def _first_line(content: bytes) -> str:
    return content[:1_000_000].partition(b"\n")[0].decode("utf-8-sig").rstrip("\r")


def _choose(header: list[str], column: str | None, path: Path) -> str:
    if column is None and len(header) == 1:
        return header[0]
    wanted = column or "url"
    if wanted in header:
        return wanted
    columns = ", ".join(header)
    if column is None:
        raise UserError(f"which column of {path}? Give --column, one of: {columns}")
    raise UserError(f"the CSV {path} has no column {column!r}, its columns are: {columns}")


def classifier() -> FunctionSpec:
    """Describe the demo's model function."""
    command = (sys.executable, "-m", "pipeline.local.demo.classify")
    # One core for each replica: with more, the threads of numpy's replicas only push each other aside.
    return FunctionSpec(name="classify", command=command, environment=MODEL_ENVIRONMENT, replicas=MODEL_REPLICAS)


def parse_function(given: str | None) -> FunctionSpec:
    """Understand `--function`: a handler file, the URL of something that runs, or a command that listens on `$port`.

    None means the demo's classifier. Raises `UserError` for a file that is missing or defines no `handle`.
    """
    if given is None:
        return classifier()
    if re.match(r"https?://", given):
        return FunctionSpec(name="function", url=given)
    path = Path(given)
    if path.is_file() or re.fullmatch(r"\S+\.py", given):
        _check_handler(path)
        command = (sys.executable, "-m", "pipeline.local.serve_handler", str(path.resolve()))
        return FunctionSpec(name=_name_for(path), command=command)
    if not given.strip():
        raise UserError("--function is empty: give a Python file, a command or a URL")
    if path.is_dir():
        raise UserError(f"the function {given} is a folder: give the Python file in it, a command or a URL")
    return FunctionSpec(name="function", command=("/bin/sh", "-c", given), ready_path="/")


async def check_answers(url: str) -> None:
    """Raise `UserError` unless something speaks HTTP at a URL, whatever it says."""
    try:
        async with ClientSession(timeout=URL_TIMEOUT) as session, session.get(url):
            return
    except (ClientError, TimeoutError, ValueError) as error:
        raise UserError(f"the function {url} does not answer: {error or 'it took too long'}") from error


def _check_handler(path: Path) -> None:
    try:
        code = path.read_bytes()
        names = symtable.symtable(code, str(path), "exec")  # type: ignore[arg-type] # bytes say their encoding
    except OSError as error:
        raise UserError(f"the function {path} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"the function {path} is not Python: {error}") from error
    bound = any(name.get_name() == "handle" and name.is_local() for name in names.get_symbols())
    # What a star import brings shows only when the file is run.
    if not bound and b"import *" not in code:
        raise UserError(f"the function {path} defines no handle: write `def handle(event, context)`")


def _name_for(path: Path) -> str:
    """Name a function after its file, or its folder if the file is `handler.py` as in OpenFaaS' templates."""
    resolved = path.resolve()
    stem = resolved.parent.name if resolved.stem == "handler" else resolved.stem
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return name if name and name != RESERVED else "function"
