"""A document that changes, as a stream of server-sent events that ends itself and is gone on with by id.

The format is that of the HTML standard, section "Server-sent events". OpenFaaS' gateway passes a response on piece by
piece where the request accepts `text/event-stream`, and ends it at its write timeout (OpenFaaS docs, "Stream
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
# Well below a write timeout of 60 s, the gateway's default, however long a look at the document takes.
LONGEST = 25.0
BETWEEN = 1.0
# The document's own time, and what follows from it alone: it would say every second that something is new.
CLOCKED = frozenset({"elapsed", "eta", "rate"})
BEAT = 5

log = logging.getLogger(__name__)

Read = Callable[[], Awaitable[dict[str, Any]]]
Over = Callable[[dict[str, Any]], bool]


def stream(first: dict[str, Any], read: Read, is_over: Over, seen: str, closing: asyncio.Event) -> Response:
    """Answer with the document as it is and then as it changes, at most once a second and for 25 seconds at most.

    `seen` is the Last-Event-ID of who goes on with an earlier stream. It ends at once where the document `is_over`, and
    with the process (`closing`).
    """
    headers = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(200, b"", headers, _events(first, read, is_over, seen, closing))


async def _events(
    document: dict[str, Any], read: Read, is_over: Over, seen: str, closing: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    end = asyncio.get_running_loop().time() + LONGEST
    # At once, so that whoever is in between passes the headers on.
    yield b": this stream ends by itself, and is gone on with by Last-Event-ID\n\n"
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
    """Return what names this version of a document; its times alone make none."""
    lasting = {name: value for name, value in document.items() if name not in CLOCKED}
    return hashlib.sha256(orjson.dumps(lasting)).hexdigest()[:16]


def _event(kind: str, document: dict[str, Any], version: str = "") -> bytes:
    # JSON has no raw line break, so a document is one line.
    head = f"id: {version}\n" if version else ""
    return f"{head}event: {kind}\ndata: ".encode() + orjson.dumps(document) + b"\n\n"
