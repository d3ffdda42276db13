"""`probe`: a message that `doctor` has sent through the queue, or its callback, arrives."""

import re

from pipeline.context import Context
from pipeline.identity import Identity
from pipeline.request import PROBE_PATH, Event, Response

STATUS = re.compile(r"[1-5][0-9][0-9]")
COUNT = re.compile(r"[0-9]{1,9}")


async def probe(event: Event, context: Context, identity: Identity) -> Response:
    """Note that the message, or its callback, has arrived; a probe that no check waits for is not noted.

    The note of a callback is its status, and X-Retry-Max where the queue-worker sends that. Raises UnavailableError
    when Redis cannot be reached.
    """
    is_callback = event.path.rstrip("/") == PROBE_PATH
    status = event.headers.get("X-Function-Status", "") if is_callback else "200"
    if not STATUS.fullmatch(status):
        status = "none"
    retry_max = event.headers.get("X-Retry-Max", "") if is_callback else ""
    if COUNT.fullmatch(retry_max):
        status = f"{status} {retry_max}"
    is_awaited = await context.ledger.probes.note(identity.batch, "called back" if is_callback else "invoked", status)
    return Response.json(200, {"verdict": "noted" if is_awaited else "unknown"})
