"""The keys of the bucket: each is made and parsed here, and nowhere else.

A function below makes the keys of one kind. Its docstring says what the object holds, its decorator which rooms have
it written, and its arguments are the parts that `parse` reads back. `KEYS` is the table of them all.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Self, cast, get_args

from pipeline.spec.input_format import Format

Parts = ParamSpec("Parts")

SUMMARY = "summary.json"
REPORT = "report.json"
REDUCED = "reduced.json"
FAILURES_CSV = "failures.csv"
FAILURES_PARQUET = "failures.parquet"
FAILURES_NDJSON = "failures.ndjson"
_PARQUET, _CSV, _NDJSON = "application/vnd.apache.parquet", "text/csv; charset=utf-8", "application/x-ndjson"
# What an ended batch has beside its summary, by name, in the order in which outputs are listed.
CONTENT_TYPES = {
    "results.parquet": _PARQUET,
    "results.csv": _CSV,
    "results.ndjson": _NDJSON,
    FAILURES_CSV: _CSV,
    FAILURES_PARQUET: _PARQUET,
    FAILURES_NDJSON: _NDJSON,
    "sql.parquet": _PARQUET,
    "sql.csv": _CSV,
    "sql.json": "application/json",
    REPORT: "application/json",
    REDUCED: "application/json",
}
_HEX = "[0-9a-f]+"
_TEXTS = {"epoch": _HEX, "digest": _HEX, "name": "|".join(map(re.escape, CONTENT_TYPES))}


class _Placeholder(str):
    """A part of a pattern: written as it is, whatever the format of the part's values."""

    __slots__ = ()

    def __format__(self, _spec: str) -> str:
        return str(self)


class Key(Generic[Parts]):
    """One kind of key: called, it makes a key of its parts."""

    def __init__(self, make: Callable[Parts, str], writers: tuple[str, ...]) -> None:
        self._make = make
        self.holds = inspect.getdoc(make) or ""
        self.writers = writers
        self._types = {name: each.annotation for name, each in inspect.signature(make).parameters.items()}
        placeholders = {name: _Placeholder(f"<{name}>") for name in self._types}
        self.pattern = cast("Callable[..., str]", make)(**placeholders)
        self._regex = re.compile(re.sub(r"<(\w+)>", self._part, re.escape(self.pattern)))

    def __call__(self, *args: Parts.args, **kwargs: Parts.kwargs) -> str:
        """Make a key."""
        return self._make(*args, **kwargs)

    def _part(self, placeholder: re.Match[str]) -> str:
        """Return the regular expression of a part."""
        name = placeholder[1]
        kind = self._types[name]
        texts = "|".join(get_args(kind)) or _TEXTS.get(name, "[^/]+")
        return f"(?P<{name}>{'[0-9]+' if kind is int else texts})"

    def parse(self, key: str) -> dict[str, Any] | None:
        """Return the parts of a key, each of its type; None for a key of another kind."""
        match = self._regex.fullmatch(key)
        return match and {
            name: int(text) if self._types[name] is int else text for name, text in match.groupdict().items()
        }

    def folder(self, *parts: str | int) -> str:
        """Return the folder of all keys that begin with these parts."""
        filled = self.pattern
        for name, part in zip(self._types, parts, strict=False):
            filled = filled.replace(f"<{name}>", str(part))
        return filled.partition("<")[0].rpartition("/")[0] + "/"


def _written_by(*rooms: str) -> Callable[[Callable[Parts, str]], Key[Parts]]:
    return lambda make: Key(make, rooms)


@_written_by("modes", "batch", "status")
def open_mark(function: str, batch: str) -> str:
    """The mark of a batch that has not ended, with what the ledger cannot lose."""
    return f"open/{function}/{batch}"


@_written_by("batch", "status")
def ended_mark(function: str, batch: str) -> str:
    """The mark of a batch that has ended; its age is what `retention` counts."""
    return f"ended/{function}/{batch}"


@_written_by("batch")
def deleted_mark(function: str, batch: str) -> str:
    """The mark of a deleted batch, for as long as late objects may come."""
    return f"deleted/{function}/{batch}"


@_written_by("batch")
def owner(batch: str) -> str:
    """The name of the function that owns the id, since several may share the bucket."""
    return f"owners/{batch}"


@_written_by("batch", "doctor")
def trial(function: str, token: str) -> str:
    """Nothing: it is written, read and deleted, to see what the server can do."""
    return f"doctor/{function}/{token}"


@_written_by("batch")
def spec(batch: str) -> str:
    """The specification, the ETag of its input, and whose batch it is."""
    return f"{batch}/spec.json"


@_written_by("batch")
def body(batch: str, form: Format) -> str:
    """The input, where it came as the body of the submission."""
    return f"{batch}/input.{form}"


@_written_by("batch")
def manifest(batch: str, generation: int) -> str:
    """The shape of a generation's snapshot, and where each of its parts begins; written last."""
    return f"{batch}/input/{generation}.json"


@_written_by("batch")
def part(batch: str, generation: int, number: int) -> str:
    """A part of a generation's snapshot: whole tasks, up to 8 MiB."""
    return f"{batch}/input/{generation}/{number:06d}.parquet"


@_written_by("tasks")
def result(batch: str, task: int, attempt: int, index: int, digest: str) -> str:
    """The result of one item that is too large to travel in a callback."""
    return f"{batch}/refs/{task}.{attempt}.{index}.{digest}"


@_written_by("batch", "tasks")
def segment(batch: str, generation: int, number: int, epoch: str, first: int, last: int, failed: int) -> str:
    """The outcomes of items `first` to `last`, of which `failed` failed."""
    return f"{batch}/segments/{generation}/{number:06d}.{epoch}.{first}-{last}.{failed}.ndjson"


@_written_by("outputs")
def generation_summary(batch: str, generation: int) -> str:
    """The summary as of the end of a generation."""
    return f"{batch}/{generation}/summary.json"


@_written_by("outputs", "notify")
def generation_output(batch: str, generation: int, name: str) -> str:
    """An output as of the end of a generation."""
    return f"{batch}/{generation}/{name}"


@_written_by("outputs", "notify")
def output(batch: str, name: str) -> str:
    """An output of the batch: a copy of the last generation's."""
    return f"{batch}/{name}"


@_written_by("outputs")
def summary(batch: str) -> str:
    """The summary of the batch: a copy of the last generation's."""
    return f"{batch}.json"


@_written_by("batch", "status")
def status(batch: str) -> str:
    """The final status, for when the ledger has expired."""
    return f"{batch}/status.json"


KEYS: tuple[Key[...], ...] = tuple(each for each in vars().values() if isinstance(each, Key))


@dataclass(frozen=True)
class Segment:
    """A segment by its key: `first` and `last` are item indices, `failed` counts failed outcomes."""

    batch: str
    generation: int
    number: int
    epoch: str
    first: int
    last: int
    failed: int

    @property
    def key(self) -> str:
        """Its key."""
        return segment(**vars(self))

    def is_since(self, epoch: str) -> bool:
        """Return whether it was written in this epoch or a later one."""
        return int(self.epoch, 16) >= int(epoch, 16)

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """Read a segment's key; None for another one."""
        parts = segment.parse(key)
        return cls(**parts) if parts else None


def segment_beginning(batch: str, generation: int, number: int, epoch: str) -> str:
    """Return the beginning of a segment's key, whatever the items in it."""
    return segment(batch, generation, number, epoch, 0, 0, 0).removesuffix("0-0.0.ndjson")


def parse_beginning(key: str) -> Segment | None:
    """Read a segment's key, or its beginning; None for another one."""
    return Segment.parse(key) or Segment.parse(f"{key}0-0.0.ndjson")


def generation_of(key: str) -> int | None:
    """Return the generation of the segment, part or manifest with this key, None for any other key."""
    of_segment = parse_beginning(key)
    parts = vars(of_segment) if of_segment else part.parse(key) or manifest.parse(key)
    return parts["generation"] if parts else None


def is_needed(key: str, batch: str) -> bool:
    """Return whether an open batch cannot go on without this object; `key` may be the beginning of a segment's."""
    return key == spec(batch) or (is_under(key, batch) and generation_of(key) is not None)


def key_of(key: str) -> Key[...] | None:
    """Return the kind of a key, None for one that the pipeline does not write."""
    return next((kind for kind in KEYS if kind.parse(key)), None)


def is_readable(key: str) -> bool:
    """Return whether a key is that of a batch's object which another batch may read."""
    return key_of(key) in {body, output, generation_output}


def is_under(key: str, batch: str) -> bool:
    """Return whether a key is the batch's summary or in its folder, whoever wrote it."""
    return key == summary(batch) or key.startswith(batch_folder(batch))


def belongs_to(key: str, batch: str) -> bool:
    """Return whether a key is one that the pipeline writes for the batch, or in a folder that it alone writes to."""
    folders = tuple(kind.folder(batch) for kind in (part, result, segment))
    return is_under(key, batch) and (key.startswith(folders) or key_of(key) is not None)


def is_late(key: str) -> bool:
    """Return whether a key is one that late writers of a deleted batch use, and that no person would choose."""
    return key_of(key) in {part, manifest, result, segment, status}


def batch_folder(batch: str) -> str:
    """Return the folder of a batch's objects: all but its summary and its marks."""
    return spec.folder(batch)


def results_name(form: str) -> str:
    """Return the name of the joined table in a format: parquet, csv or ndjson."""
    return f"results.{form}"


def output_names(formats: Iterable[str], failures: str = FAILURES_PARQUET) -> list[str]:
    """Return the outputs of a batch without SQL whose joined table is written in these formats.

    `failures` holds the rows to be submitted again with their types.
    """
    names = {*map(results_name, formats), FAILURES_CSV, failures, REPORT}
    return [name for name in CONTENT_TYPES if name in names]
