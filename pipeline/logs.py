"""The log: each event is a line of JSON with its request, batch and task.

Code that begins a request or a task binds its identity (`structlog.contextvars`); tasks and threads inherit it. An
event or a field never holds rows, results, headers or secrets.
"""

import logging
import re
from collections.abc import Mapping

import structlog
from structlog.contextvars import bind_contextvars
from structlog.typing import EventDict

from pipeline.identity import Identity

# The fields that an event may have; other fields, such as those of a library, are left out.
FIELDS = (
    *("mode", "batch", "generation", "task", "attempt", "call_id"),
    *("status", "seconds", "state", "error"),
    *("items", "tasks", "succeeded", "failed", "left", "segment", "index", "upload", "target"),
)
# OpenFaaS' gateway makes a UUID for a call without an id; any other id stays out of the log.
CALL_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# of-watchdog stops reading at a line over its log_buffer_size, 64 KiB.
LONGEST_TEXT = 8192
_FIRST = ("time", "level", "logger", "event")


def configure(level: str) -> None:
    """Write the log to stderr; `level` is the lowest level of the pipeline's own events.

    Libraries stay at INFO or above: their DEBUG events hold credentials and data.
    """
    own = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    logging.basicConfig(level=max(own, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("pipeline").setLevel(own)


def formatter() -> logging.Formatter:
    """Return the formatter of a line: the fields of the record and of its context, a traceback as one field."""
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
    """Bind the mode of a request, and its X-Call-Id if that is a UUID."""
    bind_contextvars(mode=mode)
    call_id = headers.get("X-Call-Id", "")
    if CALL_ID.fullmatch(call_id):
        bind_contextvars(call_id=call_id)


def bind_identity(identity: Identity, *, task: bool = True) -> Identity:
    """Bind a verified identity, and return it; without `task`, bind only its batch and generation."""
    bind_contextvars(batch=identity.batch, generation=identity.generation)
    if task:
        bind_contextvars(task=identity.task, attempt=identity.attempt)
    return identity


def _arrange(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put the fields of every line first, and cut long texts at the front: the error is at the end of a traceback."""
    ordered = {name: event.pop(name) for name in (*_FIRST, *FIELDS) if name in event} | dict(event)
    return {name: value[-LONGEST_TEXT:] if isinstance(value, str) else value for name, value in ordered.items()}
