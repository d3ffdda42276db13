"""Recognize a file of another format by its first bytes."""

import re
from pathlib import Path

from pipeline.errors import BadRequestError
from pipeline.spec.input_format import PACKINGS, TITLES, Format

_HEAD = 4096
_BOM = b"\xef\xbb\xbf"
_KINDS = (
    (re.compile(rb"PK\x03\x04"), "a ZIP file, as .xlsx is: save it as one plain file"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "a file of Excel: save it as CSV"),
    (re.compile(rb"\xfd7zXZ\x00|BZh\d1AY&SY"), "packed with xz or bzip2: pack it with gzip or zstd, or not at all"),
)
_PARQUET = re.compile(rb"PAR[1E][\x00-\x1f]")
# No header of a CSV begins so: a quote in a cell is within quotes.
_OBJECT = re.compile(rb'\s*\{\s*["}]')
_OBJECTS = re.compile(rb'\s*\[\s*\{\s*["}]')


def check_kind(path: Path, form: Format) -> None:
    """Raise BadRequestError for an empty file, and for a plain one that is clearly of another format."""
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(_BOM)
    if not head:
        raise BadRequestError(f"the input is empty, expected {TITLES[form]}")
    kind = _other_kind(head, form)
    if kind:
        raise BadRequestError(f"the input cannot be read as {TITLES[form]}: it is {kind}")


def _other_kind(head: bytes, form: Format) -> str:
    """Return the kind of the file and the remedy, '' for a file that may be of this format."""
    for pattern, kind in _KINDS:
        if pattern.match(head):
            return kind
    others = {
        "parquet": (_PARQUET, "Parquet: format parquet reads it"),
        "ndjson": (_OBJECT, "JSON: format ndjson reads an object a line"),
        "json": (_OBJECTS, "an array of JSON: format json reads it"),
    }
    if form == "parquet" and head.startswith(tuple(PACKINGS)):
        return "packed: Parquet packs its columns itself, so unpack it"
    return next((kind for name, (pattern, kind) in others.items() if name != form and pattern.match(head)), "")
