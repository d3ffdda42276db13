"""Requests and responses of the function, and how the body of a request is read and unpacked."""

import asyncio
import gzip
import io
import re
import zlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import orjson
from aiohttp import StreamReader, web
from backports import zstd

from pipeline.errors import BadRequestError, TooLargeError
from pipeline.units import MIB

BODY_LIMIT = 64 * MIB
# Seconds without data in the middle of a body, after which the body counts as broken off.
SILENCE = 20.0
Body = TypeVar("Body", bytes, bytearray)

BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Folders of the bucket that belong to no batch: two with marks, and one for the objects of `doctor`.
RESERVED_IDS = frozenset({"open", "ended", "doctor"})
SIGNATURE_HEADER = "X-Pipeline-Signature"
CALLBACK_PATH = "/collect"
DIRECT_PATH = "/collect/direct"
PROBE_PATH = "/collect/probe"


@dataclass(frozen=True)
class Event:
    """A request, as the python3-http template has it. `headers` are case-insensitive; `path` starts with a slash."""

    body: bytes
    headers: Mapping[str, str]
    method: str
    query: Mapping[str, str]
    path: str


@dataclass(frozen=True)
class Response:
    """The answer of a mode; after `body` the pieces of `stream` are sent, as they come."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncGenerator[bytes, None] | None = None

    @classmethod
    def json(cls, status: int, document: Any) -> Self:
        """Answer with a JSON document."""
        return cls(status, orjson.dumps(document), {"Content-Type": "application/json"})


def check_batch_id(value: str) -> str:
    """Return a valid batch id; raises BadRequestError otherwise."""
    if not BATCH_ID.fullmatch(value) or value in RESERVED_IDS:
        raise BadRequestError(
            f"X-Batch-Id {value[:80]!r} is not a batch id: 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit, other than 'open', 'ended' and 'doctor'"
        )
    return value


def batch_of(event: Event, *, required: bool = True) -> str:
    """Return the batch id in `?batch=` or X-Batch-Id, '' without one if none is required; raises BadRequestError."""
    name = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not name and required:
        raise BadRequestError("name the batch: ?batch=ID or the header X-Batch-Id")
    return check_batch_id(name) if name else ""


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


async def read_body(request: web.Request) -> bytes:
    """Read the whole body and unpack it: it comes chunked, so no header tells its size."""
    try:
        body = await _read_to_end(request.content)
    except web.RequestPayloadError as error:
        raise BadRequestError(f"the body cannot be read ({type(error).__name__})") from None
    except ConnectionError:
        raise BadRequestError("the body broke off: the client has gone away") from None
    except TimeoutError:
        raise BadRequestError(f"the body broke off: nothing more of it came in {SILENCE:g} s") from None
    encoding = request.headers.get("Content-Encoding", "")
    # A model function may declare a wrong encoding: its item has failed then, and the request is valid.
    if not encoding or request.path.rstrip("/") == DIRECT_PATH:
        return body
    return _within_limit(await asyncio.to_thread(unpack_body, body, encoding, BODY_LIMIT + 1))


async def _read_to_end(content: StreamReader) -> bytes:
    """Read to the end; raises TooLargeError above BODY_LIMIT, TimeoutError after SILENCE seconds without data."""
    if content.is_eof():
        # The whole body has arrived already, as most bodies of tasks and callbacks have.
        return _within_limit(content.read_nowait())
    body, clock = bytearray(), asyncio.get_running_loop().time
    async with asyncio.timeout(SILENCE) as patience:
        async for piece in content.iter_any():
            body += piece
            _within_limit(body)
            patience.reschedule(clock() + SILENCE)
    return bytes(body)


def _within_limit(body: Body) -> Body:
    if len(body) > BODY_LIMIT:
        raise TooLargeError(f"the body is over {BODY_LIMIT // MIB} MiB: put the CSV into S3 and send its key")
    return body
