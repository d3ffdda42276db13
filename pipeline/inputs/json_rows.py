"""Read rows that are lines of one JSON object each. The types of the columns are inferred from the whole input.

A column with one kind of value everywhere has its type: text, Boolean, Int64, or Float64 when some numbers have a
fraction. Every other column (nested values, several kinds, numbers that a type would round) is the JSON text of its
values, so that nothing is lost. A key that is missing in a row is null. JSON with no clear meaning is refused: a name
that an object has twice, or half a surrogate pair.
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
from pipeline.inputs.json_types import STRICT_DECODER, Kind, has_type, kind_of, make_column
from pipeline.inputs.limits import BLANK_LIMIT, LINE_LIMIT, MOST_COLUMNS, NAMES_LIMIT, PIECE_CELLS
from pipeline.units import MIB

_BOM = b"\xef\xbb\xbf"
_NULL = msgspec.Raw(b"null")
_ROW = msgspec.json.Decoder(dict[str, msgspec.Raw])
Row = dict[str, msgspec.Raw]


@dataclass
class JsonRows:
    """A plain file of lines. In errors a line is called `noun`.

    `kinds` has the kinds of the values of each column, `names_length` the characters of all their names together.
    """

    path: Path
    noun: str
    kinds: dict[str, Kind] = field(default_factory=dict)
    names_length: int = 0

    def infer(self, max_rows: int) -> int:
        """Read all lines once, to find the columns; returns the number of rows.

        Raises BadRequestError for a line that is no JSON object, for more than `max_rows` rows, and for more than
        10,000,000 blank lines.
        """
        count = 0
        for first, piece in self._pieces():
            rows = self._decode(piece, first)
            count += len(rows)
            if first + piece.count(b"\n") - count > BLANK_LIMIT:
                raise BadRequestError(f"the input has more than {BLANK_LIMIT} blank lines")
            if count > max_rows:
                raise BadRequestError(f"the input has more than {max_rows} rows (setting max_rows)")
            cells: dict[str, list[msgspec.Raw]] = defaultdict(list)
            for row in rows:
                for name, value in row.items():
                    cells[name].append(value)
            for name, values in cells.items():
                self._add_kinds(name, values, piece, first)
        return count

    @property
    def json_columns(self) -> list[str]:
        """The columns that are JSON text."""
        return [name for name, kind in self.kinds.items() if not has_type(kind)]

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in order, after `infer`; the more columns, the fewer rows a frame."""
        height = max(1, PIECE_CELLS // max(1, len(self.kinds)))
        for first, piece in self._pieces():
            rows = self._decode(piece, first)
            for start in range(0, len(rows), height):
                yield self.frame(rows[start : start + height])

    def frame(self, rows: list[Row]) -> pl.DataFrame:
        """Return a frame of rows."""
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
            self._raise_unreadable(piece, first)
        if sum(map(len, rows)) != _max_names(piece):
            self._check_repeated_names(piece, first)
        return rows

    def _add_kinds(self, name: str, values: list[msgspec.Raw], piece: bytes, first: int) -> None:
        if name not in self.kinds:
            self._count_name(name)
        try:
            self.kinds[name] = self.kinds.get(name, Kind.NULL) | kind_of(values)
        except (msgspec.DecodeError, RecursionError):
            self._raise_unreadable(piece, first)

    def _count_name(self, name: str) -> None:
        if len(self.kinds) >= MOST_COLUMNS:
            raise BadRequestError(f"the input has too many columns: expected at most {MOST_COLUMNS}")
        self.names_length += len(name)
        if self.names_length > NAMES_LIMIT:
            raise BadRequestError(f"the names of the input's columns are over {NAMES_LIMIT // MIB} MiB together")

    def _raise_unreadable(self, piece: bytes, first: int) -> NoReturn:
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
                    raise BadRequestError(f"{self.noun} {number} {_describe(line, error)}") from error
        raise BadRequestError(f"the input cannot be read as JSON objects from {self.noun} {first} on")

    def _check_repeated_names(self, piece: bytes, first: int) -> None:
        """Raise BadRequestError for the first line with an object that has a name twice."""

        def check_names(pairs: list[tuple[str, Any]]) -> int:
            names = [name for name, _ in pairs]
            if len(set(names)) < len(names):
                repeated = next(name for name in names if names.count(name) > 1)
                raise BadRequestError(f"{self.noun} {number} has {repeated[:80]!r} more than once")
            return len(names)

        reader = json.JSONDecoder(object_pairs_hook=check_names, parse_int=float)
        for number, line in enumerate(piece.split(b"\n"), first):
            if line.strip() and len(_ROW.decode(line)) != _max_names(line):
                try:
                    reader.decode(line.decode())
                except RecursionError as error:
                    raise BadRequestError(f"{self.noun} {number} is nested too deep") from error


def _max_names(text: bytes) -> int:
    """Return an upper bound of the number of names in objects, which is exact for the JSON of most programs.

    The quote that ends a name is followed by a colon, or by space before it.
    """
    return sum(map(text.count, (b'":', b'" ', b'"\t', b'"\r')))


def _describe(line: bytes, error: Exception) -> str:
    """Return what is wrong with a line that msgspec does not read as an object."""
    if isinstance(error, msgspec.ValidationError):
        return f"is no row: {str(error)[0].lower()}{str(error)[1:]}"
    try:
        STRICT_DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        return f"is no JSON: {error}"
    return "has a \\u escape that is half of a pair"
