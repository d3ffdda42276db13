"""The one handler: a request's mode, then the function for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.models import Event, Response
from pipeline.modes.batch import batch
from pipeline.modes.cancel import cancel
from pipeline.modes.collect import collect
from pipeline.modes.open import open_queued
from pipeline.modes.reduce import reduce
from pipeline.modes.status import status
from pipeline.modes.sweep import sweep
from pipeline.modes.task import task

Mode = Callable[[Event, Context], Awaitable[Response]]


@dataclass(frozen=True)
class Signed:
    """A mode that the queue calls: it asks for a signature of the pipeline's own, and so for no token."""

    mode: Mode


MODES: Mapping[str, Mode | Signed] = {
    "batch": batch,
    "task": Signed(task),
    "collect": Signed(collect),
    "reduce": Signed(reduce),
    "status": status,
    "cancel": cancel,
    "open": Signed(open_queued),
    "sweep": sweep,
}
CALLBACK_PATH = "/collect"


async def handle(event: Event, context: Context) -> Response:
    """Answer a request in its mode; raises BadRequestError naming the modes when it has none.

    Every mode that is not Signed needs a token where there are tokens: raises UnauthorizedError.
    """
    mode = MODES[resolve_mode(event)]
    if isinstance(mode, Signed):
        return await mode.mode(event, context)
    context.access.check(event)
    return await mode(event, context)


def resolve_mode(event: Event) -> str:
    """Return the mode of a request.

    On the callback path only the signed URL counts, whatever X-Mode says: a callback carries headers that the called
    function chose. A cron-connector sends no X-Mode but its own X-Connector (OpenFaaS docs, scheduling).
    """
    if event.path.rstrip("/") == CALLBACK_PATH:
        return "collect"
    mode = event.headers.get("X-Mode", "").strip().lower()
    if mode in MODES:
        return mode
    if not mode and event.method in {"GET", "HEAD"}:
        return "status"
    if not mode and event.headers.get("X-Connector", "") == "cron-connector":
        return "sweep"
    given = f"unknown X-Mode {mode[:40]!r}" if mode else "the header X-Mode is missing"
    raise BadRequestError(f"{given}; the modes are: {', '.join(MODES)}")
