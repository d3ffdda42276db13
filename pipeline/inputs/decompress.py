"""Unpack an input within bounds: of one line, of the header, and of all that a packed file holds."""

import gzip
import zlib
from pathlib import Path
from types import MappingProxyType
from typing import IO, Protocol

from backports import zstd

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.spec.input_format import PACKINGS, TITLES, Format
from pipeline.units import MIB

UNPACKED_LIMIT = 16 * 1024 * MIB
LINE_LIMIT = 64 * MIB
BLANK_LIMIT = 10_000_000
MOST_COLUMNS = 16_384
PIECE_CELLS = 2 * MIB
SEPARATORS: MappingProxyType[Format, bytes] = MappingProxyType({"csv": b",", "tsv": b"\t"})
# What the reader of CSV would take for a packed file too, and unpack without bounds.
_ZLIB = (b"x\x01", b"x\x9c", b"x\xda")


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


def unpack(path: Path, form: Format = "csv") -> Path:
    """Unpack a gzip or zstd file beside itself, a piece at a time; returns the plain file.

    Raises BadRequestError for a file that is broken, packed otherwise or twice, or that holds more than 16 GiB, and of
    a CSV or TSV for a line over 64 MiB, a header over 1 MiB or 16,384 columns, or next to nothing in very many cells;
    UnavailableError when there is no room for it.
    """
    title, packing, plain = TITLES[form], _packing(path), path
    if packing in PACKINGS:
        name = PACKINGS[packing]
        plain = path.with_suffix(f".{form}")
        try:
            with gzip.open(path) if name == "gzip" else zstd.open(path) as source, plain.open("wb") as target:
                _pass(source, target, form)
        except (gzip.BadGzipFile, zstd.ZstdError, EOFError, zlib.error) as error:
            raise BadRequestError(f"the input cannot be read as {title}: its {name} is broken ({error})") from error
        except OSError as error:
            raise UnavailableError(f"the input cannot be unpacked under {path.parent}: {error.strerror}") from error
        path.unlink()
        if _packing(plain):
            raise BadRequestError(
                f"the input is packed twice: expected {title}, once packed with gzip or zstd, or plain"
            )
    elif packing:
        raise BadRequestError(f"the input is packed with zlib: expected {title}, plain or packed with gzip or zstd")
    else:
        with path.open("rb") as source:
            _pass(source, None, form)
    return plain


def _packing(path: Path) -> bytes:
    """Return the first bytes by which a packed file is known, none for a plain one."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((magic for magic in (*PACKINGS, *_ZLIB) if head.startswith(magic)), b"")


def _pass(source: _Source, target: IO[bytes] | None, form: Format) -> None:
    if form in SEPARATORS:
        _pass_lines(source, target, SEPARATORS[form])
    elif target is not None:
        _pass_bytes(source, target)


def _pass_bytes(source: _Source, target: IO[bytes]) -> None:
    """Copy what is unpacked; raises BadRequestError for more than 16 GiB."""
    size = 0
    while piece := source.read(MIB):
        size = _within(size + len(piece))
        target.write(piece)


def _within(size: int) -> int:
    if size > UNPACKED_LIMIT:
        raise BadRequestError(f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked")
    return size


def _pass_lines(source: _Source, target: IO[bytes] | None, separator: bytes) -> None:
    """Copy a file, or just read it; raises BadRequestError at what a replica could not hold."""
    size, line, columns, quoted = 0, 0, 0, False
    while piece := source.read(MIB):
        size += len(piece)
        if target is not None:
            _within(size)
        columns = columns or _count_columns(piece, separator)
        end = _last_end(piece, quoted=quoted)
        line = line + len(piece) if end < 0 else len(piece) - end
        if line > LINE_LIMIT:
            raise BadRequestError(f"the input has a line over {LINE_LIMIT // MIB} MiB, or a quote that is never closed")
        if _is_sparse(piece, columns, quoted=quoted):
            raise BadRequestError(
                f"the input has {columns} columns, and too many lines with most of their cells missing"
            )
        quoted ^= piece.count(b'"') % 2 == 1
        if target is not None:
            target.write(piece)


def _is_sparse(piece: bytes, columns: int, *, quoted: bool) -> bool:
    """Say whether the lines of a piece would have far more cells than it has letters: each missing one takes memory."""
    if piece.count(b"\n") * columns <= PIECE_CELLS:
        return False
    outside = piece.split(b'"')[int(quoted) :: 2]
    return sum(text.count(b"\n") for text in outside) * columns > PIECE_CELLS


def _last_end(piece: bytes, *, quoted: bool) -> int:
    """Return the place of the last newline outside of quotes, -1 for none; `quoted` is how the piece begins."""
    inside = quoted ^ (piece.count(b'"') % 2 == 1)
    place = len(piece)
    while (newline := piece.rfind(b"\n", 0, place)) >= 0:
        inside ^= piece.count(b'"', newline, place) % 2 == 1
        if not inside:
            return newline
        place = piece.rfind(b'"', 0, newline)
        if place < 0:
            return -1
        inside = False
    return -1


def _count_columns(head: bytes, separator: bytes) -> int:
    """Count the columns in a file's first MiB, a comma in a name as one more; raises BadRequestError for too many."""
    *lines, last = head.split(b"\n")
    commas, quoted = 0, False
    for line in lines:
        commas += line.count(separator)
        quoted ^= line.count(b'"') % 2 == 1
        if line.strip() and not quoted:
            break
    else:
        commas = MOST_COLUMNS if len(head) == MIB else commas + last.count(separator)
    if commas >= MOST_COLUMNS:
        raise BadRequestError(
            f"the input's header is too large: expected at most {MOST_COLUMNS} columns, in at most 1 MiB with the "
            "blank lines before it"
        )
    return commas + 1
