"""Split one JSON array of objects into a line an object, with bounded memory."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import BadRequestError
from pipeline.inputs.decompress import LINE_LIMIT
from pipeline.inputs.json_types import STRICT
from pipeline.units import MIB

PIECE = MIB
_LETTER = re.compile(r"[^ \t\r\n]")


def split_array(path: Path, target: IO[bytes]) -> None:
    """Write each object of the array in a JSON file as a line, as it is written there but for its line ends.

    Raises BadRequestError for what is no array of objects, and for one over 64 MiB.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        _Splitter(file, target).split()


@dataclass
class _Splitter:
    """Reads a file of text a MiB at a time; `text` from `place` on is what is not passed on yet."""

    file: IO[str]
    target: IO[bytes]
    text: str = ""
    place: int = 0
    row: int = 0

    def split(self) -> None:
        """Write the objects."""
        try:
            self._split()
        except UnicodeDecodeError as error:
            raise BadRequestError(f"the input cannot be read as JSON: behind row {self.row} it is not UTF-8") from error

    def _split(self) -> None:
        if self._next() != "[":
            raise BadRequestError("the input cannot be read as JSON: expected an array of objects, as in [{...}, ...]")
        self.place += 1
        if self._next() == "]":
            self.place += 1
        else:
            while self._object():
                pass
        if self._next():
            raise BadRequestError("the input cannot be read as JSON: there is something behind the array")

    def _object(self) -> bool:
        """Pass the next object on; returns whether another one follows."""
        self.row += 1
        if self._next() not in {"{", ""}:
            raise BadRequestError(f"row {self.row} is no object: expected an array of objects, as in [{{...}}, ...]")
        end = self._end()
        line = self.text[self.place : end].replace("\r", " ").replace("\n", " ")
        self.target.write(line.encode() + b"\n")
        self.place = end
        mark = self._next()
        if mark not in {",", "]"}:
            expected = "a comma or the array's end" if mark else "more: the array has no end"
            raise BadRequestError(f"the input cannot be read as JSON: behind row {self.row}, expected {expected}")
        self.place += 1
        return mark == ","

    def _end(self) -> int:
        """Return where the object at `place` ends; reads on until it does."""
        more = PIECE
        while True:
            try:
                return STRICT.raw_decode(self.text, self.place)[1]
            except RecursionError as error:
                raise BadRequestError(f"row {self.row} is nested too deep") from error
            except ValueError as error:
                if len(self.text) - self.place > LINE_LIMIT:
                    raise BadRequestError(f"row {self.row} is over {LINE_LIMIT // MIB} MiB") from error
                if not self._read(more):
                    reason = getattr(error, "msg", str(error))
                    raise BadRequestError(f"row {self.row} is no JSON: {reason}") from error
                more *= 2

    def _next(self) -> str:
        """Return the next letter that is no space, '' at the end."""
        while True:
            if found := _LETTER.search(self.text, self.place):
                self.place = found.start()
                return found[0]
            self.place = len(self.text)
            if not self._read(PIECE):
                return ""

    def _read(self, size: int) -> bool:
        more = self.file.read(size)
        self.text = self.text[self.place :] + more
        self.place = 0
        return bool(more)
