"""The encoding of a file of text: detected by its first bytes, and written again as UTF-8 where it is another one."""

from pathlib import Path

from pipeline.errors import BadRequestError
from pipeline.units import MIB

UTF8 = "utf-8"
_MARKS = {
    b"\xef\xbb\xbf": UTF8,
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def detect_encoding(head: bytes) -> str:
    """Return the encoding that a byte order mark tells, else utf-8."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), UTF8)


def to_utf8(path: Path, encoding: str) -> tuple[Path, str]:
    """Write a plain file beside itself as UTF-8 unless it is; returns the file to read, and the encoding that it had.

    `encoding` is a name that Python knows, or `auto`. Raises BadRequestError for a file in another encoding, with the
    line, and OSError.
    """
    with path.open("rb") as file:
        name = detect_encoding(file.read(4)) if encoding == "auto" else encoding
    if name == UTF8:
        return path, name
    text, line = path.with_suffix(".utf8"), 1
    try:
        with path.open(encoding=name, newline="") as source, text.open("w", encoding=UTF8, newline="") as target:
            while piece := source.read(MIB):
                target.write(piece)
                line += piece.count("\n")
    except UnicodeError as error:
        raise BadRequestError(f"the input is not {name}, from line {line} or later on: {error}") from None
    path.unlink()
    return text, name


def not_utf8(path: Path) -> BadRequestError:
    """Return the error of a file that is not UTF-8, with its first such line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return BadRequestError(
                    f"line {number} of the input is not UTF-8: set encoding, for example to latin-1, windows-1252 or "
                    "utf-16"
                )
    return BadRequestError("the input is not UTF-8: set encoding")
