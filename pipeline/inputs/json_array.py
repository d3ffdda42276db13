"""Write the objects of an array in a JSON file as lines of one object each."""

import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from pipeline.errors import BadRequestError
from pipeline.inputs.limits import LINE_LIMIT
from pipeline.units import MIB

Value = TypeVar("Value")
_BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(r" \(byte (\d+)\)$")
_ARRAY = "expected an array of objects, as in [{...}, ...]"
_MOST_SHOWN = 20
# msgspec says the same of both.
_WORDS = {"Input data was truncated": "it ends too early, or it has a \\u escape that is half of a pair"}


def split_array(path: Path, target: IO[bytes], pointer: str = "") -> None:
    """Write each object of an array as one line, with spaces in the place of its line ends.

    `pointer` (RFC 6901) tells where in the file the array is. The file is mapped, and not copied; each row takes 64
    bytes of memory. Raises BadRequestError for a file without an array of objects there, and for an object over 64 MiB.
    """
    with path.open("rb") as file:
        text = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    text = text[len(_BOM) :] if text[: len(_BOM)] == _BOM else text
    for row, value in enumerate(_rows(_find(text, pointer), pointer), 1):
        line = bytes(value)
        if not line.startswith(b"{"):
            raise BadRequestError(f"row {row} is no object: {_ARRAY}")
        if len(line) > LINE_LIMIT:
            raise BadRequestError(f"row {row} is over {LINE_LIMIT // MIB} MiB")
        target.write(line.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")


def _find(text: memoryview, pointer: str) -> memoryview:
    """Return the JSON that the pointer names."""
    place = ""
    for token in pointer.split("/")[1:]:
        members = _members(text) or {}
        name = token.replace("~1", "/").replace("~0", "~")
        if name not in members:
            shown = ", ".join(list(members)[:_MOST_SHOWN]) or "no members"
            raise BadRequestError(f"there is nothing at the pointer {pointer!r}: {place or 'the input'} has {shown}")
        text, place = members[name], f"{place}/{token}"
    return text


def _rows(text: memoryview, pointer: str) -> list[msgspec.Raw]:
    try:
        return _decode(text, list[msgspec.Raw])
    except msgspec.ValidationError:
        pass
    arrays = [name for name, value in (_members(text) or {}).items() if bytes(value[:1]) == b"["]
    if len(arrays) == 1:
        name = arrays[0].replace("~", "~0").replace("/", "~1")
        raise BadRequestError(f"the input is one object: expected an array, or pointer {f'{pointer}/{name}'!r}")
    raise BadRequestError(f"the input cannot be read as JSON: {_ARRAY}" + ", or pointer" * bool(arrays))


def _members(text: memoryview) -> Mapping[str, memoryview] | None:
    """Return the members of an object, None for something else."""
    try:
        return {name: memoryview(value) for name, value in _decode(text, dict[str, msgspec.Raw]).items()}
    except msgspec.ValidationError:
        return None


def _decode(text: memoryview, kind: type[Value]) -> Value:
    """Return the JSON as this type; raises msgspec.ValidationError for another type, and BadRequestError."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise BadRequestError("the input cannot be read as JSON: it is nested too deep") from None
    except msgspec.DecodeError as error:
        reason, place = _WORDS.get(str(error), str(error)), _PLACE.search(str(error))
        if place:
            line = bytes(text[: int(place[1])]).count(b"\n") + 1
            reason = f"{reason[: place.start()]} in line {line}"
        raise BadRequestError(f"the input cannot be read as JSON: {reason}") from None
