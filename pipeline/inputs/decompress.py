"""Unpack a gzip or zstd input with bounded memory, up to the limit of an unpacked input."""

import gzip
import zlib
from pathlib import Path

from backports import zstd

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.inputs.limits import UNPACKED_LIMIT
from pipeline.spec.input_format import PACKINGS, TITLES, Format
from pipeline.units import MIB

# The reader of CSV would also unpack these, and without a limit.
_ZLIB = (b"x\x01", b"x\x9c", b"x\xda")


def unpack(path: Path, form: Format) -> Path:
    """Unpack a gzip or zstd file beside itself, a MiB at a time, and remove it; returns the plain file.

    Raises BadRequestError for a file that is broken, packed otherwise or twice, or over 16 GiB when it is unpacked, and
    UnavailableError when there is no room for it.
    """
    title, packing = TITLES[form], _packing(path)
    if packing in PACKINGS:
        plain = _unpack(path, form, PACKINGS[packing])
        if _packing(plain):
            raise BadRequestError(
                f"the input is packed twice: expected {title}, once packed with gzip or zstd, or plain"
            )
        return plain
    if packing:
        raise BadRequestError(f"the input is packed with zlib: expected {title}, plain or packed with gzip or zstd")
    return path


def _packing(path: Path) -> bytes:
    """Return the first bytes that mark a packed file, b'' for a plain file."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((magic for magic in (*PACKINGS, *_ZLIB) if head.startswith(magic)), b"")


def _unpack(path: Path, form: Format, packing: str) -> Path:
    plain, size = path.with_suffix(f".{form}"), 0
    try:
        with gzip.open(path) if packing == "gzip" else zstd.open(path) as source, plain.open("wb") as target:
            while piece := source.read(MIB):
                size += len(piece)
                if size > UNPACKED_LIMIT:
                    raise BadRequestError(f"the input is over {UNPACKED_LIMIT // MIB} MiB when it is unpacked")
                target.write(piece)
    except (gzip.BadGzipFile, zstd.ZstdError, EOFError, zlib.error) as error:
        raise BadRequestError(
            f"the input cannot be read as {TITLES[form]}: its {packing} is broken ({error})"
        ) from error
    except OSError as error:
        raise UnavailableError(f"the input cannot be unpacked under {path.parent}: {error.strerror}") from error
    path.unlink()
    return plain
