"""What is logged and counted of every request, around whatever answers it."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from structlog.contextvars import bind_contextvars

from pipeline.errors import BadRequestError
from pipeline.handler import MODES, Signed, resolve_mode
from pipeline.logs import bind_call
from pipeline.metrics import Metrics
from pipeline.request import BATCH_ID, Event

NO_MODE = "none"
# A status that is streamed lasts as long as somebody looks at it, which says nothing of how fast a status is.
STREAM = "stream"
# What changes a batch is worth a line; the rest comes too often.
CHANGES = frozenset({"cancel", "pause", "resume", "tune", "redrive", "delete"})

log = logging.getLogger(__name__)


@dataclass
class Answer:
    """How a request was answered; a status of 0 is that of one whose client has gone away."""

    mode: str
    status: int = 0


@contextmanager
def observed(metrics: Metrics, event: Event) -> Iterator[Answer]:
    """Bind what is known of a request, and count and log its answer, whose status the caller sets.

    Nothing is unbound: each request is served in a context of its own (aiohttp, issue 3406). What it names is bound
    before anybody has looked at its token; a signed request's batch only once its signature is verified.
    """
    mode = _mode(event)
    bind_call(mode, event.headers)
    named = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not isinstance(MODES.get(mode), Signed) and BATCH_ID.fullmatch(named):
        bind_contextvars(batch=named)
    answer = Answer(mode)
    started = time.monotonic()
    metrics.in_flight(1)
    try:
        yield answer
    finally:
        seconds = time.monotonic() - started
        metrics.in_flight(-1)
        metrics.answered(answer.mode, answer.status, seconds)
        level = logging.INFO if mode in CHANGES else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(level, "answered", extra={"status": answer.status, "seconds": round(seconds, 6)})


def _mode(event: Event) -> str:
    try:
        return resolve_mode(event)
    except BadRequestError:
        return NO_MODE
