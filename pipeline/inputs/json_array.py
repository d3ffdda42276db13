"""Split one JSON array of objects into lines of one object each, with bounded memory."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import BadRequestError
from pipeline.inputs.json_types import STRICT_DECODER
from pipeline.inputs.limits import LINE_LIMIT
from pipeline.units import MIB

PIECE = MIB
_NOT_SPACE = re.compile(r"[^ \t\r\n]")


def split_array(path: Path, target: IO[bytes]) -> None:
    """Write each object of the array in a JSON file as one line, with spaces in the place of its line ends.

    Raises BadRequestError for a file that is not an array of objects, and for an object over 64 MiB.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        _Splitter(file, target).split()


@dataclass
class _Splitter:
    """Reads a file of text a MiB at a time; `text` from `place` on is not written yet, `row` counts the objects."""

    file: IO[str]
    target: IO[bytes]
    text: str = ""
    place: int = 0
    row: int = 0

    def split(self) -> None:
        """Write all objects."""
        try:
            self._split()
        except UnicodeDecodeError as error:
            raise BadRequestError(f"the input cannot be read as JSON: behind row {self.row} it is not UTF-8") from error

    def _split(self) -> None:
        if self._next_character() != "[":
            raise BadRequestError("the input cannot be read as JSON: expected an array of objects, as in [{...}, ...]")
        self.place += 1
        if self._next_character() == "]":
            self.place += 1
        else:
            while self._copy_object():
                pass
        if self._next_character():
            raise BadRequestError("the input cannot be read as JSON: there is something behind the array")

    def _copy_object(self) -> bool:
        """Write the next object; returns whether another one follows."""
        self.row += 1
        if self._next_character() not in {"{", ""}:
            raise BadRequestError(f"row {self.row} is no object: expected an array of objects, as in [{{...}}, ...]")
        end = self._object_end()
        line = self.text[self.place : end].replace("\r", " ").replace("\n", " ")
        self.target.write(line.encode() + b"\n")
        self.place = end
        separator = self._next_character()
        if separator not in {",", "]"}:
            expected = "a comma or the array's end" if separator else "more: the array has no end"
            raise BadRequestError(f"the input cannot be read as JSON: behind row {self.row}, expected {expected}")
        self.place += 1
        return separator == ","

    def _object_end(self) -> int:
        """Return the end of the object at `place`; reads more of the file until the object is whole."""
        size = PIECE
        while True:
            try:
                return STRICT_DECODER.raw_decode(self.text, self.place)[1]
            except RecursionError as error:
                raise BadRequestError(f"row {self.row} is nested too deep") from error
            except ValueError as error:
                if len(self.text) - self.place > LINE_LIMIT:
                    raise BadRequestError(f"row {self.row} is over {LINE_LIMIT // MIB} MiB") from error
                if not self._read(size):
                    reason = getattr(error, "msg", str(error))
                    raise BadRequestError(f"row {self.row} is no JSON: {reason}") from error
                size *= 2

    def _next_character(self) -> str:
        """Move to the next character that is no space, and return it; '' at the end of the file."""
        while True:
            if match := _NOT_SPACE.search(self.text, self.place):
                self.place = match.start()
                return match[0]
            self.place = len(self.text)
            if not self._read(PIECE):
                return ""

    def _read(self, size: int) -> bool:
        piece = self.file.read(size)
        self.text = self.text[self.place :] + piece
        self.place = 0
        return bool(piece)
