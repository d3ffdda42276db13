"""The body of a request: read and unpacked, with bounded memory for those of all requests at the same time."""

import asyncio
import gzip
import io
import zlib

from aiohttp import StreamReader, web
from backports import zstd

from pipeline.capacity import Capacity, Part
from pipeline.errors import BadRequestError, TooLargeError
from pipeline.request import DIRECT_PATH
from pipeline.units import KIB, MIB

BODY_LIMIT = 64 * MIB
# Smaller bodies wait for no room, as those of most submissions and callbacks.
SMALL = 64 * KIB
# Seconds without data in the middle of a body, after which the body counts as broken off.
SILENCE = 20.0
# Bytes of all bodies in a replica, and of these the part that only signed requests may use: the queue's own callbacks.
ALL_BODIES = 3 * BODY_LIMIT
SIGNED_ONLY = BODY_LIMIT
LINE = 64
PATIENCE = 10.0


def body_capacity() -> Capacity:
    """Return the bytes that all bodies of a replica may have together."""
    return Capacity(ALL_BODIES, LINE, PATIENCE)


async def read_body(request: web.Request, part: Part) -> bytes:
    """Read the whole body and unpack it; `part` then holds its bytes. It comes chunked, so no header tells its size.

    Raises BadRequestError, TooLargeError, and TooManyRequestsError when there are too many bodies at once.
    """
    try:
        body = await _read_to_end(request.content, part)
    except web.RequestPayloadError as error:
        raise BadRequestError(f"the body cannot be read ({type(error).__name__})") from None
    except ConnectionError:
        raise BadRequestError("the body broke off: the client has gone away") from None
    except TimeoutError:
        raise BadRequestError(f"the body broke off: nothing more of it came in {SILENCE:g} s") from None
    encoding = request.headers.get("Content-Encoding", "")
    # A model function may declare a wrong encoding: its item has failed then, and the request is valid.
    if not encoding or not body or request.path.rstrip("/") == DIRECT_PATH:
        return body
    await part.grow_to(part.amount + BODY_LIMIT)
    body = await asyncio.to_thread(unpack_body, body, encoding, BODY_LIMIT + 1)
    _check_size(len(body))
    await _hold(part, len(body))
    return body


async def _read_to_end(content: StreamReader, part: Part) -> bytes:
    """Read to the end; raises TooLargeError above BODY_LIMIT, TimeoutError after SILENCE seconds without data."""
    if content.is_eof():
        # The whole body has arrived already, as most bodies of tasks and callbacks have.
        body = content.read_nowait()
    else:
        body = await _read_pieces(content, part)
    _check_size(len(body))
    await _hold(part, len(body))
    return body


async def _read_pieces(content: StreamReader, part: Part) -> bytes:
    # Its value shares its memory, unlike that of a bytearray.
    buffer, clock = io.BytesIO(), asyncio.get_running_loop().time
    async with asyncio.timeout(SILENCE) as patience:
        async for piece in content.iter_any():
            patience.reschedule(None)
            buffer.write(piece)
            _check_size(buffer.tell())
            if buffer.tell() > SMALL:
                await part.grow_to(BODY_LIMIT)
            patience.reschedule(clock() + SILENCE)
    return buffer.getvalue()


async def _hold(part: Part, size: int) -> None:
    amount = size if size > SMALL else 0
    part.shrink_to(amount)
    await part.grow_to(amount)


def _check_size(size: int) -> None:
    if size > BODY_LIMIT:
        raise TooLargeError(f"the body is over {BODY_LIMIT // MIB} MiB: put the CSV into S3 and send its key")


def unpack_body(body: bytes, encoding: str, most: int) -> bytes:
    """Return the first `most` bytes of the plain body; a body with an unknown encoding is returned as it is.

    Raises BadRequestError for a body that is not packed in its encoding.
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
    """Unpack zlib's format, or raw deflate, which some clients send in its place."""
    has_head = body[0] & 0xF == zlib.DEFLATED
    unpacker = zlib.decompressobj(zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
    plain = unpacker.decompress(body, most)
    if not unpacker.eof and len(plain) < most:
        raise EOFError
    return plain
