"""The pipeline's answers, typed. What an older or newer function leaves out has its default, what it adds is ignored.

Times are in seconds since 1970, durations in seconds.
"""

from typing import Any, TypeVar

import msgspec

from pipeline.client.errors import BrokenError

OK = 200
Document = TypeVar("Document")


class Brief(msgspec.Struct, frozen=True):
    """A batch in a list; what is not known of it (any more) is None."""

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
    """The open batches, oldest first, and the ended ones, newest first; at most 100 each."""

    open: tuple[Brief, ...] = ()
    ended: tuple[Brief, ...] = ()


class Link(msgspec.Struct, frozen=True):
    """An object that can be read at `url` until the link expires; `size` is in bytes. The URL is a secret."""

    key: str
    url: str
    size: int = 0
    generation: int = 0
    name: str = ""


class Outputs(msgspec.Struct, frozen=True):
    """What an ended batch left: its summary, its other outputs by `name`, and on request what they are made of.

    `snapshot` are Parquet parts of the input in order, `column` is the one of the items unless those are `derived` from
    others, `segments` are outcomes, in the order in which later ones overlay earlier ones.
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
        """Return the output of this name, None where there is none: an older batch, or one that did not ask for it."""
        return next((link for link in self.outputs if link.name == name), None)


class FirstCall(msgspec.Struct, frozen=True):
    """A call of the model function that would be made; `body` is cut at 1 KiB."""

    method: str = "POST"
    url: str = ""
    headers: dict[str, str] = {}
    body: str = ""


class DryRun(msgspec.Struct, frozen=True):
    """What a submission would do: `calls` where each succeeds, `messages` where nothing is retried."""

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
    """One check: `status` is `ok`, `warning` or `failed`; `advice` is empty where there is nothing to do."""

    name: str
    status: str
    found: str = ""
    advice: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """The function's own checks, and the time by its clock."""

    checks: tuple[Check, ...]
    now: float | None = None


class Opened(msgspec.Struct, frozen=True):
    """The answer to a submission: sizes are None while the snapshot is still being made."""

    batch_id: str
    batch_size: int | None = None
    tasks: int | None = None
    state: str | None = None
    status_url: str | None = None


class Redriven(msgspec.Struct, frozen=True):
    """The answer to a redrive: `redriven` is 0 where nothing had failed."""

    redriven: int | None = None


class Deleted(msgspec.Struct, frozen=True):
    """The answer to a deletion: `deleted` once nothing is left."""

    deleted: bool = False


def read(document: Any, shape: type[Document]) -> Document:
    """Read an answer; a null counts as left out. Raises BrokenError for one that is not of this shape."""
    try:
        return msgspec.convert(_without_nulls(document), shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BrokenError(OK, f"the answer is not the pipeline's: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
