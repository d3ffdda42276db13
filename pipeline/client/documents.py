"""The pipeline's answers, typed. Fields that an older function lacks have defaults; unknown fields are ignored.

Times are in seconds since 1970, durations in seconds.
"""

from typing import Any, TypeVar

import msgspec

from pipeline.client.errors import BrokenError

OK = 200
Document = TypeVar("Document")


class Brief(msgspec.Struct, frozen=True):
    """A batch in a list; unknown values are None."""

    batch_id: str
    state: str | None = None
    function: str | None = None
    items: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    created: float | None = None
    ended: float | None = None
    status_url: str | None = None


class Batches(msgspec.Struct, frozen=True):
    """The open batches, oldest first, and the ended ones, newest first; at most 100 of each."""

    open: tuple[Brief, ...] = ()
    ended: tuple[Brief, ...] = ()


class Link(msgspec.Struct, frozen=True):
    """An object, readable at `url` until the link expires; `size` is in bytes. The URL is a secret."""

    key: str
    url: str
    size: int = 0
    generation: int = 0
    name: str = ""


class Outputs(msgspec.Struct, frozen=True):
    """Links to the outputs of an ended batch: its summary, the others by `name`, and on request the parts behind them.

    `snapshot` holds the Parquet parts of the input in order. `column` is the column of the items, unless they are
    `derived` from other columns. `segments` hold outcomes; later ones overlay earlier ones.
    """

    batch_id: str = ""
    expires: float | None = None
    summary: Link | None = None
    outputs: tuple[Link, ...] = ()
    snapshot: tuple[Link, ...] = ()
    column: str | None = None
    derived: bool = False
    segments: tuple[Link, ...] = ()

    def named(self, name: str) -> Link | None:
        """Return the output of this name, None if the batch is older or did not ask for it."""
        return next((link for link in self.outputs if link.name == name), None)


class FirstCall(msgspec.Struct, frozen=True):
    """A call that would be made to the model function; `body` is cut at 1 KiB."""

    method: str = "POST"
    url: str = ""
    headers: dict[str, str] = {}
    body: str = ""


class DryRun(msgspec.Struct, frozen=True):
    """The plan of a submission: `calls` if each succeeds, `messages` if nothing is retried."""

    dry_run: bool
    input: str | None = None
    column: str | None = None
    columns: tuple[str, ...] = ()
    items: int = 0
    chunk: int | str = 1
    tasks: int = 0
    calls: int = 0
    messages: int = 0
    first_calls: tuple[FirstCall, ...] = ()


class Check(msgspec.Struct, frozen=True):
    """One check: `status` is `ok`, `warning` or `failed`; `advice` is empty if there is nothing to do."""

    name: str
    status: str
    found: str = ""
    advice: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """The function's own checks, and its clock's time."""

    checks: tuple[Check, ...]
    now: float | None = None


class Opened(msgspec.Struct, frozen=True):
    """The answer to a submission: sizes are None until the snapshot is made."""

    batch_id: str
    batch_size: int | None = None
    tasks: int | None = None
    state: str | None = None
    status_url: str | None = None


class Redriven(msgspec.Struct, frozen=True):
    """The answer to a redrive: `redriven` is 0 if nothing had failed."""

    redriven: int | None = None


class Deleted(msgspec.Struct, frozen=True):
    """The answer to a deletion: `deleted` once nothing is left."""

    deleted: bool = False


def read(document: Any, shape: type[Document]) -> Document:
    """Convert an answer to its type; a null counts as missing. Raises BrokenError if the answer does not fit."""
    try:
        return msgspec.convert(_without_nulls(document), shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BrokenError(OK, f"the answer is not the pipeline's: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
