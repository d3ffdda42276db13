"""Undo the Content-Encoding of a body that is there whole.

Not aiohttp's parser, which drops a request whose body it cannot unpack, or leaves who waits for that body waiting.
"""

import gzip
import io
import zlib

from backports import zstd

from pipeline.errors import BadRequestError


def unpack_body(body: bytes, encoding: str, most: int) -> bytes:
    """Return the plain body, of which no more than `most` bytes are unpacked; any other encoding is left as it is.

    Raises BadRequestError for a body that is not packed as it says.
    """
    name = encoding.strip().lower()
    if not body or name not in {"gzip", "x-gzip", "deflate", "zstd"}:
        return body
    try:
        if name == "deflate":
            return _inflate(body, most)
        with zstd.open(io.BytesIO(body)) if name == "zstd" else gzip.open(io.BytesIO(body)) as source:
            return source.read(most)
    except (gzip.BadGzipFile, zstd.ZstdError, EOFError, zlib.error):
        raise BadRequestError(f"the body cannot be read: it is not packed with {name}, as it says") from None


def _inflate(body: bytes, most: int) -> bytes:
    """Unpack zlib's format, or what some send in its place: the same without its head."""
    has_head = body[0] & 0xF == zlib.DEFLATED
    unpacker = zlib.decompressobj(zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
    plain = unpacker.decompress(body, most)
    if not unpacker.eof and len(plain) < most:
        raise EOFError
    return plain
