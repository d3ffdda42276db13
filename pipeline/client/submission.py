"""The request of a submission: an input from this machine, or the key of one in the bucket."""

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

# A file of this machine; bytes (a CSV unless `format` says otherwise); or a key or prefix in the bucket, or the address
# of either in another bucket.
Source = Path | bytes | str
BODY_LIMIT = 64 * MIB
_PIECE = MIB
_MAGIC_NUMBERS = tuple(PACKINGS)
_FILE = "a file: put it into S3 and give its key"


class SpecFields(TypedDict, total=False):
    """The fields of a specification besides its input (pipeline/docs/batches.md); one left out has its default."""

    function: str
    column: str
    columns: list[str]
    format: Format
    delimiter: str
    quote: str
    escape: str
    header: bool | list[str]
    encoding: str
    skip: int
    pointer: str
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
    csv_safe: bool
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
    """Make the request for a source. It reads and compresses a file, so it can take a while.

    Raises SourceError for a file that cannot be read or is too large, and for `headers` along with a file; TypeError
    for an unknown field.
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
    query = {name: _query_value(value) for name, value in fields.items() if name != "format"}
    form: Format = fields.get("format") or (format_of(source.name) if isinstance(source, Path) else "csv")
    return Request(query=query, body=read_input(source, form), headers={"Content-Type": content_type_of(form)})


def _with_comma(names: Sequence[str] | str | None) -> str:
    """Return the first name with a comma, '' if none has one; a string is a list already, with commas."""
    return "" if isinstance(names, str) else next((name for name in names or () if "," in name), "")


def _query_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _to_json(spec: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(spec, allow_nan=False).encode()
    except ValueError as error:
        # Some encoders write null for it, which would mean the field's default.
        raise SourceError("a field is not a number, or is infinite") from error


def read_input(source: Path | bytes, form: Format = "csv", limit: int = BODY_LIMIT) -> bytes:
    """Return the bytes of an input, compressed with zstd if they are over `limit`; raises SourceError."""
    name = str(source) if isinstance(source, Path) else f"the {TITLES[form]}"
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            body = file.read(limit + 1)
            # Any other JSON body would be taken for a specification.
            is_compressed = body.startswith(_MAGIC_NUMBERS)
            if form == "json" and not is_compressed and body.removeprefix(BOM_UTF8).lstrip()[:1] != b"[":
                raise SourceError(f"{name} does not hold a JSON array: expected one of objects, as in [{{...}}, ...]")
            if len(body) <= limit:
                return body
            compressed = None if is_compressed or form == "parquet" else _compress(body, file, limit)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror}") from error
    if compressed is None:
        raise SourceError(f"{name} is over {limit // MIB} MiB even when compressed: put it into S3 and give its key")
    return compressed


def _compress(head: bytes, rest: BinaryIO, limit: int) -> bytes | None:
    """Compress a file with zstd, None as soon as it is over the limit; the same file gives the same bytes."""
    compressor = zstd.ZstdCompressor()
    compressed = bytearray(compressor.compress(head))
    while len(compressed) <= limit and (piece := rest.read(_PIECE)):
        compressed += compressor.compress(piece)
    compressed += compressor.flush()
    return bytes(compressed) if len(compressed) <= limit else None
