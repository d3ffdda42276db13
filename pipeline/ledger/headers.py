"""The header of a script, which declares its arguments and its reply with their types: see common.lua."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.units import MICROSECONDS, microseconds

Encoder = Callable[[Any], str | bytes | float]
_ROW = re.compile(r"^-- @(\w+) +(\S+) +(\S+)(?: +(.*(?:\n--  +.*)*))?$", re.MULTILINE)


def _unchanged(value: Any) -> Any:
    return value


_ENCODERS: Mapping[str, Encoder] = {"us": microseconds, "flag": int, "json": orjson.dumps}
_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "text": lambda value: (value or b"").decode(),
    "bytes": _unchanged,
    "int": lambda value: int(value or 0),
    "flag": bool,
    "us": lambda value: int(value) / MICROSECONDS,
    "ints": tuple,
    "pairs": lambda pairs: tuple((int(first), int(second)) for first, second in pairs),
    "hash": lambda flat: {name.decode(): value.decode() for name, value in _pairs(flat)},
    "raw_hash": lambda flat: {name.decode(): value for name, value in _pairs(flat)},
}


class Row(NamedTuple):
    """A line of a header. `?` ends the type where there may be none; `...` begins the name of the rest of a reply."""

    kind: str
    name: str
    type: str
    meaning: str


def read_rows(text: str, *kinds: str) -> list[Row]:
    """Return the rows of these kinds in a script, in order."""
    rows = [Row(*groups) for groups in _ROW.findall(text) if groups[0] in kinds]
    return [row._replace(meaning=re.sub(r"\n-- +", " ", row.meaning)) for row in rows]


def encoder(kind: str) -> Encoder:
    """Return what encodes an argument of a type: '' stands for None."""
    encode: Encoder = _ENCODERS.get(kind.removesuffix("?"), _unchanged)
    return (lambda value: "" if value is None else encode(value)) if kind.endswith("?") else encode


class Reply:
    """The reply of a script, as the rows of its header declare it."""

    def __init__(self, rows: list[Row]) -> None:
        self._fixed = [(row.name, _decoder(row.type)) for row in rows if not row.name.startswith("...")]
        self._rest = [(row.name[3:], _decoder(row.type)) for row in rows if row.name.startswith("...")]

    def read(self, reply: Any) -> Any:
        """Return the value of a single row, else a dict by name, without the parts that a short reply lacks."""
        if not self._rest and len(self._fixed) < 2:  # noqa: PLR2004
            return self._fixed[0][1](reply) if self._fixed else None
        values = {name: decode(value) for (name, decode), value in zip(self._fixed, reply, strict=False)}
        for name, decode in self._rest:
            values[name] = tuple(map(decode, reply[len(self._fixed) :]))
        return values


def _decoder(kind: str) -> Callable[[Any], Any]:
    decode = _DECODERS[kind.removesuffix("?")]
    return (lambda value: None if value in {None, b""} else decode(value)) if kind.endswith("?") else decode


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
