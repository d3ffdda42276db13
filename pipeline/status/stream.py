"""A changing document as a stream of server-sent events, which ends by itself and can be resumed by event id.

The format is that of the HTML standard, section "Server-sent events". OpenFaaS' gateway passes a response on piece by
piece if the request accepts `text/event-stream`, and ends it at its write timeout (OpenFaaS docs, "Stream
Server-Sent Events").
"""

import asyncio
import hashlib
import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import orjson

from pipeline.errors import PipelineError
from pipeline.request import Response

EVENT_STREAM = "text/event-stream"
# Well below the gateway's default write timeout of 60 s, however long a read of the document takes.
LONGEST = 25.0
BETWEEN = 1.0
# Fields that change with the clock alone: they would make a new version every second.
CLOCKED = frozenset({"elapsed", "eta", "rate"})
BEAT = 5

log = logging.getLogger(__name__)

Read = Callable[[], Awaitable[dict[str, Any]]]
Over = Callable[[dict[str, Any]], bool]


def stream(first: dict[str, Any], read: Read, is_over: Over, seen: str, closing: asyncio.Event) -> Response:
    """Answer with the document as it is and then as it changes, at most once a second and for 25 seconds at most.

    `seen` is the Last-Event-ID of a client that resumes an earlier stream. The stream ends at once if the document
    `is_over`, and when the process ends (`closing`).
    """
    headers = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(200, b"", headers, _events(first, read, is_over, seen, closing))


async def _events(
    document: dict[str, Any], read: Read, is_over: Over, seen: str, closing: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    end = asyncio.get_running_loop().time() + LONGEST
    # At once, so that every proxy passes the headers on.
    yield b": this stream ends by itself, and is resumed by Last-Event-ID\n\n"
    for beat in itertools.count(1):
        version = version_of(document)
        if version != seen:
            yield _event("status", document, version)
        elif beat % BEAT == 0:
            yield b": nothing new\n\n"
        seen = version
        if is_over(document):
            yield _event("end", {})
            return
        try:
            async with asyncio.timeout_at(end):
                if await _ends_within(closing, BETWEEN):
                    return
                document = await read()
        except TimeoutError:
            return
        except PipelineError as error:
            yield _event("error", {"error": str(error)})
            return


async def _ends_within(closing: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(closing.wait(), seconds)
    except TimeoutError:
        return False
    return True


def version_of(document: dict[str, Any]) -> str:
    """Return the event id of a document: a digest of the fields that do not change with the clock alone."""
    fields = {name: value for name, value in document.items() if name not in CLOCKED}
    return hashlib.sha256(orjson.dumps(fields)).hexdigest()[:16]


def _event(kind: str, document: dict[str, Any], version: str = "") -> bytes:
    # JSON has no raw line break, so a document is one line.
    head = f"id: {version}\n" if version else ""
    return f"{head}event: {kind}\ndata: ".encode() + orjson.dumps(document) + b"\n\n"
