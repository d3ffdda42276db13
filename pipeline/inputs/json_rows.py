"""Read rows that are JSON objects: lines of them (NDJSON), or one array. Types are inferred over the whole input.

A column that holds one kind of value everywhere has its type: text, Boolean, Int64, or Float64 where some numbers have
a fraction. Every other one, of nested values, of several kinds, or of numbers that a type would round, is the JSON text
of its values, so that nothing is lost. A key that is missing in a row is null. Where JSON leaves open what is meant, a
name that an object has twice or half a surrogate pair, the input is refused.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import polars as pl

from pipeline.errors import BadRequestError
from pipeline.inputs.decompress import BLANK_LIMIT, LINE_LIMIT, MOST_COLUMNS, PIECE_CELLS
from pipeline.inputs.json_types import STRICT, Kind, has_type, kind_of, make_column
from pipeline.units import MIB

NAMES_LIMIT = MIB
_BOM = b"\xef\xbb\xbf"
_NULL = msgspec.Raw(b"null")
_ROW = msgspec.json.Decoder(dict[str, msgspec.Raw])
Row = dict[str, msgspec.Raw]


@dataclass
class JsonRows:
    """A plain file of lines; `noun` is what a line is called in an error. `kinds` gives what each column holds.

    `named` is how many letters their names have together.
    """

    path: Path
    noun: str
    kinds: dict[str, Kind] = field(default_factory=dict)
    named: int = 0

    def infer(self, most: int) -> int:
        """Read all lines once, for their columns; returns how many rows they are.

        Raises BadRequestError for what is no JSON object, or too many, and for more than 10,000,000 blank lines.
        """
        count = 0
        for first, piece in self._pieces():
            rows = self._decode(piece, first)
            count += len(rows)
            if first + piece.count(b"\n") - count > BLANK_LIMIT:
                raise BadRequestError(f"the input has more than {BLANK_LIMIT} blank lines")
            if count > most:
                raise BadRequestError(f"the input has more than {most} rows (setting max_rows)")
            cells: dict[str, list[msgspec.Raw]] = defaultdict(list)
            for row in rows:
                for name, value in row.items():
                    cells[name].append(value)
            for name, values in cells.items():
                self._add(name, values, piece, first)
        return count

    @property
    def json_columns(self) -> list[str]:
        """The columns that are JSON text."""
        return [name for name, kind in self.kinds.items() if not has_type(kind)]

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in order, after `infer`; a frame is small, however many columns there are."""
        height = max(1, PIECE_CELLS // max(1, len(self.kinds)))
        for first, piece in self._pieces():
            rows = self._decode(piece, first)
            for start in range(0, len(rows), height):
                yield self.frame(rows[start : start + height])

    def frame(self, rows: list[Row]) -> pl.DataFrame:
        """Make a frame of rows."""
        kinds = self.kinds.items()
        return pl.DataFrame({name: make_column(kind, [row.get(name, _NULL) for row in rows]) for name, kind in kinds})

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield about a MiB of whole lines at a time, with the number of the first, from 1."""
        number, rest = 1, b""
        with self.path.open("rb") as file:
            if file.read(len(_BOM)) != _BOM:
                file.seek(0)
            while piece := file.read(MIB):
                end = piece.rfind(b"\n") + 1
                if len(rest) + (piece.find(b"\n") if end else len(piece)) > LINE_LIMIT:
                    raise BadRequestError(f"{self.noun} {number} is over {LINE_LIMIT // MIB} MiB")
                if end:
                    whole = rest + piece[:end]
                    yield number, whole
                    number += whole.count(b"\n")
                rest = piece[end:] if end else rest + piece
        if rest:
            yield number, rest

    def _decode(self, piece: bytes, first: int) -> list[Row]:
        try:
            piece.decode()
            rows = list(map(_ROW.decode, filter(bytes.strip, piece.split(b"\n"))))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._find_fault(piece, first)
        if sum(map(len, rows)) != _most_names(piece):
            self._find_twice(piece, first)
        return rows

    def _add(self, name: str, values: list[msgspec.Raw], piece: bytes, first: int) -> None:
        known = self.kinds.get(name)
        if known is None:
            self._check_names(name)
        try:
            self.kinds[name] = (known or Kind.NULL) | kind_of(values)
        except (msgspec.DecodeError, RecursionError):
            self._find_fault(piece, first)

    def _check_names(self, name: str) -> None:
        if len(self.kinds) >= MOST_COLUMNS:
            raise BadRequestError(f"the input has too many columns: expected at most {MOST_COLUMNS}")
        self.named += len(name)
        if self.named > NAMES_LIMIT:
            raise BadRequestError(f"the names of the input's columns are over {NAMES_LIMIT // MIB} MiB together")

    def _find_fault(self, piece: bytes, first: int) -> NoReturn:
        """Raise BadRequestError for the first line that cannot be read."""
        for number, line in enumerate(piece.split(b"\n"), first):
            if line.strip():
                try:
                    line.decode()
                    for value in _ROW.decode(line).values():
                        kind_of([value])
                except UnicodeDecodeError as error:
                    raise BadRequestError(f"{self.noun} {number} is not UTF-8") from error
                except RecursionError as error:
                    raise BadRequestError(f"{self.noun} {number} is nested too deep") from error
                except msgspec.DecodeError as error:
                    raise BadRequestError(f"{self.noun} {number} {_fault(line, error)}") from error
        raise BadRequestError(f"the input cannot be read as JSON objects from {self.noun} {first} on")

    def _find_twice(self, piece: bytes, first: int) -> None:
        """Raise BadRequestError for a line with an object that has a name twice."""

        def once(pairs: list[tuple[str, Any]]) -> int:
            names = [name for name, _ in pairs]
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise BadRequestError(f"{self.noun} {number} has {twice[:80]!r} more than once")
            return len(names)

        reader = json.JSONDecoder(object_pairs_hook=once, parse_int=float)
        for number, line in enumerate(piece.split(b"\n"), first):
            if line.strip() and len(_ROW.decode(line)) != _most_names(line):
                try:
                    reader.decode(line.decode())
                except RecursionError as error:
                    raise BadRequestError(f"{self.noun} {number} is nested too deep") from error


def _most_names(text: bytes) -> int:
    """Return a number that is at least that of all names in objects, and just that where most JSON comes from.

    The quote that ends a name is followed by a colon, or by space before it.
    """
    return sum(map(text.count, (b'":', b'" ', b'"\t', b'"\r')))


def _fault(line: bytes, error: Exception) -> str:
    """Say what is wrong with a line that is not UTF-8, no JSON, or no object."""
    if isinstance(error, msgspec.ValidationError):
        return f"is no row: {str(error)[0].lower()}{str(error)[1:]}"
    try:
        STRICT.decode(line.decode())
    except (ValueError, RecursionError):
        return f"is no JSON: {error}"
    return "has a \\u escape that is half of a pair"
