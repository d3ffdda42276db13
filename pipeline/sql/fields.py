"""The fields of JSON results that a query reads: taken out of the results, and typed by what was seen. Pure."""

from collections.abc import Mapping, Sequence

import orjson
import polars as pl

from pipeline.sql.names import Path
from pipeline.units import MIB

# Letters that the fields of some results may have: those that lie within each other are there several times.
ROOM = 16 * MIB
ROOM_OF_RESULTS = 3
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_KINDS: Mapping[frozenset[str], pl.DataType] = {
    frozenset({"truth"}): pl.Boolean(),
    frozenset({"whole"}): pl.Int64(),
    frozenset({"whole", "number"}): pl.Float64(),
    frozenset({"number"}): pl.Float64(),
}


class Fields:
    """Takes the values at some paths out of results, as text, and remembers what they are in JSON.

    Once they are `too_large`, since many of them hold the same parts of results, it takes no more.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.too_large = False
        self._paths = paths
        self._seen: dict[str, set[str]] = {column: set() for column in paths}

    def extract(self, results: Sequence[bytes | None]) -> dict[str, pl.Series]:
        """Return a column of text for each path: null where a result has nothing there, or is no JSON.

        A text is itself, everything else its JSON.
        """
        found: dict[str, list[str | None]] = {column: [] for column in self._paths}
        room = ROOM + ROOM_OF_RESULTS * sum(len(result) for result in results if result)
        for result in results:
            document = None if self.too_large else _read(result)
            for column, path in self._paths.items():
                text = None if self.too_large else self._text(column, _at(document, path))
                room -= len(text) if text else 0
                self.too_large = self.too_large or room < 0
                found[column].append(text)
        return {column: pl.Series(column, texts, dtype=pl.String) for column, texts in found.items()}

    def types(self) -> dict[str, pl.DataType]:
        """Return the type of each field that was seen at all; one of several kinds, or with parts, is its text."""
        return {column: _KINDS.get(frozenset(seen), pl.String()) for column, seen in self._seen.items() if seen}

    def missing(self) -> list[str]:
        """Return the fields, as they are asked for, that no result has."""
        return [_spelt(path) for column, path in self._paths.items() if not self._seen[column]]

    def _text(self, column: str, value: object) -> str | None:
        if value is None:
            return None
        try:
            kind, text = _told(value)
        except TypeError:
            # Nested deeper than orjson writes, though it reads that.
            return None
        self._seen[column].add(kind)
        return text


def _spelt(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def _read(result: bytes | None) -> object:
    if result is None:
        return None
    try:
        return orjson.loads(result)
    except orjson.JSONDecodeError:
        # Nested deeper than a parser follows: it is there as a whole in the column result.
        return None


def _at(value: object, path: Path) -> object:
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def _told(value: object) -> tuple[str, str]:
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "truth", "true" if value else "false"
    if isinstance(value, int):
        is_whole = _SMALLEST <= value <= _LARGEST
        return "whole" if is_whole else "number", str(value)
    text = orjson.dumps(value).decode()
    return "number" if isinstance(value, float) else "parts", text
