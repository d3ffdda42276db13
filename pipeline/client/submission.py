"""What is submitted: an input from here, or the key of one in the bucket."""

from __future__ import annotations

import io
import json
from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypedDict

from backports import zstd

from pipeline.client.errors import SourceError
from pipeline.spec.input_format import PACKINGS, TITLES, Format, content_type_of, format_of
from pipeline.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# A file of this machine, the bytes of one (a CSV unless `format` says what), or the key of an object of the bucket, a
# prefix, or the address of either in another bucket.
Source = Path | bytes | str
BODY_LIMIT = 64 * MIB
_PIECE = MIB
_PACKED = tuple(PACKINGS)
_FILE = "a file: put it into S3 and give its key"


class SpecFields(TypedDict, total=False):
    """The fields of a specification besides its input, as the README has them; what is left out has its default."""

    function: str
    column: str
    columns: list[str]
    format: Format
    chunk: int | Literal["auto"]
    chunk_call: bool
    direct: bool
    concurrency: int
    window: int
    rate: float
    attempts: int
    timeout: float
    tolerate: int | str
    deadline: float
    inline_limit: int
    content_type: str
    outputs: list[Literal["parquet", "csv", "ndjson"]]
    sql: str
    headers: dict[str, str]
    reduce: str
    notify: Sequence[str]


class Request(TypedDict):
    """The parts of a submission's HTTP request."""

    query: dict[str, str]
    body: bytes
    headers: dict[str, str]


def make_request(source: Source, fields: Mapping[str, Any]) -> Request:
    """Make a submission of a source; reads and packs a file, so it takes a while.

    Raises SourceError for a file that cannot be read or is too large, and for `headers` along with one; TypeError
    for a field that there is not.
    """
    unknown = sorted(fields.keys() - SpecFields.__annotations__.keys() - {"dry_run"})
    if unknown:
        raise TypeError(f"there is no field {unknown[0]!r}; the fields are: {', '.join(SpecFields.__annotations__)}")
    if isinstance(source, str):
        return Request(
            query={}, body=_to_json({"input": source, **fields}), headers={"Content-Type": "application/json"}
        )
    if _with_comma(fields.get("notify")):
        raise SourceError(f"a URL with a comma does not travel with {_FILE}")
    if name := _with_comma(fields.get("columns")):
        raise SourceError(f"name each column by itself; {name!r}, if it is one name, does not travel with {_FILE}")
    if "headers" in fields:
        raise SourceError(f"headers do not travel with {_FILE}")
    query = {name: _in_a_query(value) for name, value in fields.items() if name != "format"}
    form: Format = fields.get("format") or (format_of(source.name) if isinstance(source, Path) else "csv")
    return Request(query=query, body=read_input(source, form), headers={"Content-Type": content_type_of(form)})


def _with_comma(names: Sequence[str] | str | None) -> str:
    """Return the first of a list that has a comma, '' for none; a text is a list with commas already."""
    return "" if isinstance(names, str) else next((name for name in names or () if "," in name), "")


def _in_a_query(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _to_json(spec: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(spec, allow_nan=False).encode()
    except ValueError as error:
        # Others write a null for it, which would be the field's default.
        raise SourceError("a field is not a number, or is infinite") from error


def read_input(source: Path | bytes, form: Format = "csv", limit: int = BODY_LIMIT) -> bytes:
    """Return what is sent of an input: its bytes, packed with zstd where they are over `limit`; raises SourceError."""
    name = str(source) if isinstance(source, Path) else f"the {TITLES[form]}"
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            body = file.read(limit + 1)
            # What else is sent as JSON is a specification.
            if form == "json" and not body.startswith(_PACKED) and body.removeprefix(BOM_UTF8).lstrip()[:1] != b"[":
                raise SourceError(f"{name} holds no JSON array: expected one of objects, as in [{{...}}, ...]")
            if len(body) <= limit:
                return body
            is_packed = form == "parquet" or body.startswith(_PACKED)
            packed = None if is_packed else _pack(body, file, limit)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror}") from error
    if packed is None:
        raise SourceError(f"{name} is over {limit // MIB} MiB even when packed: put it into S3 and give its key")
    return packed


def _pack(head: bytes, rest: BinaryIO, limit: int) -> bytes | None:
    """Pack a file with zstd, None as soon as that is over the limit; the same file gives the same bytes."""
    packer = zstd.ZstdCompressor()
    packed = bytearray(packer.compress(head))
    while len(packed) <= limit and (piece := rest.read(_PIECE)):
        packed += packer.compress(piece)
    packed += packer.flush()
    return bytes(packed) if len(packed) <= limit else None
