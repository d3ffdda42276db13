"""The log: one line of JSON an event, with what is known of the request, the batch and the task that it belongs to.

Whoever begins something binds what it is (`structlog.contextvars`); the tasks and threads that follow inherit it. No
text of rows, results, headers or secrets belongs into an event or a field.
"""

import logging
import re
from collections.abc import Mapping

import structlog
from structlog.contextvars import bind_contextvars
from structlog.typing import EventDict

from pipeline.identity import Identity

# What an event may carry beside its text; what a library adds to its own is left out.
FIELDS = (
    *("mode", "batch", "generation", "task", "attempt", "call_id"),
    *("status", "seconds", "state", "error"),
    *("items", "tasks", "succeeded", "failed", "left", "segment", "index", "upload", "target"),
)
# OpenFaaS' gateway makes a UUID for a call that has no id; whatever else is sent as one stays out of the log.
CALL_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# of-watchdog reads no further than a line over its log_buffer_size, 64 KiB.
LONGEST_TEXT = 8192
_FIRST = ("time", "level", "logger", "event")


def configure(level: str) -> None:
    """Write the log to stderr from now on; `level` is that of the pipeline's own events.

    Libraries stay at INFO or above: what they say at DEBUG holds credentials and data.
    """
    own = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    logging.basicConfig(level=max(own, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("pipeline").setLevel(own)


def formatter() -> logging.Formatter:
    """Return what makes a line of a record: its own fields, those of its context, a traceback as one field."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(FIELDS),
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _arrange,
            structlog.processors.JSONRenderer(),
        ],
    )


def bind_call(mode: str, headers: Mapping[str, str]) -> None:
    """Bind a request's mode, and its X-Call-Id where it is one."""
    bind_contextvars(mode=mode)
    call_id = headers.get("X-Call-Id", "")
    if CALL_ID.fullmatch(call_id):
        bind_contextvars(call_id=call_id)


def bound(identity: Identity, *, task: bool = True) -> Identity:
    """Bind an identity whose signature was verified, and return it; without a `task`, only its batch and generation."""
    bind_contextvars(batch=identity.batch, generation=identity.generation)
    if task:
        bind_contextvars(task=identity.task, attempt=identity.attempt)
    return identity


def _arrange(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put first what every line has, and cut long texts at the front: the end of a traceback says what it is."""
    ordered = {name: event.pop(name) for name in (*_FIRST, *FIELDS) if name in event} | dict(event)
    return {name: value[-LONGEST_TEXT:] if isinstance(value, str) else value for name, value in ordered.items()}
