"""The handler of all requests: it resolves the mode and calls its function."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.identity import Identity, Purpose
from pipeline.modes.batch import batch
from pipeline.modes.cancel import cancel
from pipeline.modes.collect import collect
from pipeline.modes.delete import delete
from pipeline.modes.doctor import doctor
from pipeline.modes.open import open_queued
from pipeline.modes.outputs import outputs
from pipeline.modes.page import page
from pipeline.modes.pause import pause, resume
from pipeline.modes.probe import probe
from pipeline.modes.redrive import redrive
from pipeline.modes.reduce import reduce
from pipeline.modes.status import status
from pipeline.modes.sweep import sweep
from pipeline.modes.task import task
from pipeline.modes.tune import tune
from pipeline.request import CALLBACK_PATH, DIRECT_PATH, PROBE_PATH, Event, Response

Mode = Callable[[Event, Context], Awaitable[Response]]
SignedMode = Callable[[Event, Context, Identity], Awaitable[Response]]


@dataclass(frozen=True)
class Signed:
    """A mode that the queue-worker calls: its URL is signed by the pipeline itself, so it needs no token."""

    mode: SignedMode
    purpose: Purpose


MODES: Mapping[str, Mode | Signed] = {
    "batch": batch,
    "task": Signed(task, "task"),
    "collect": Signed(collect, "callback"),
    "reduce": Signed(reduce, "reduce"),
    "status": status,
    "outputs": outputs,
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "tune": tune,
    "redrive": redrive,
    "delete": delete,
    "open": Signed(open_queued, "open"),
    "sweep": sweep,
    "doctor": doctor,
    "probe": Signed(probe, "probe"),
}
# Not an X-Mode: the live page, which a browser requests at the function's address.
PAGE = "page"
CALLBACKS = {CALLBACK_PATH: "collect", DIRECT_PATH: "collect", PROBE_PATH: "probe"}
CALLBACK_PURPOSES: Mapping[str, Purpose] = {DIRECT_PATH: "direct callback", PROBE_PATH: "probe callback"}
HEADERS_ONCE = frozenset({"x-mode", "x-batch-id", "authorization", "content-type"})


@dataclass(frozen=True)
class Admission:
    """A request that may use the function: `answer` takes it with its body."""

    answer: Callable[[Event], Awaitable[Response]]
    is_signed: bool = False


async def handle(event: Event, context: Context) -> Response:
    """Answer a request in its mode; raises as `admit`, and as the mode."""
    return await admit(event, context).answer(event)


def admit(event: Event, context: Context) -> Admission:
    """Check a request before its body is read, by its URL and headers.

    Raises BadRequestError with the list of modes if it has none, ForbiddenError for a wrong signature of a mode that is
    Signed, and UnauthorizedError for a missing token of any other, if the function has tokens. The page's shell needs
    none, since it holds no data. Without tokens, ForbiddenError for a browser under another host.
    """
    _check_once(event)
    name = resolve_mode(event)
    if name == PAGE:
        context.access.check_host(event)
        return Admission(page)
    mode = MODES[name]
    if isinstance(mode, Signed):
        purpose = CALLBACK_PURPOSES.get(event.path.rstrip("/"), mode.purpose)
        identity = context.signer.verify_query(purpose, event.query)
        return Admission(lambda whole: mode.mode(whole, context, identity), is_signed=True)
    context.access.check(event)
    return Admission(lambda whole: mode(whole, context))


def resolve_mode(event: Event) -> str:
    """Return the mode of a request: one of MODES, or PAGE.

    On a callback's path the X-Mode is ignored: a callback carries headers that the called function chose. A
    cron-connector sends no X-Mode but its own X-Connector (OpenFaaS docs, scheduling).
    """
    if _is_callback(event):
        return CALLBACKS[event.path.rstrip("/")]
    mode = event.headers.get("X-Mode", "").strip().lower()
    if mode in MODES:
        return mode
    if not mode and event.method in {"GET", "HEAD"}:
        return PAGE if _is_browser(event) else "status"
    if not mode and event.headers.get("X-Connector", "") == "cron-connector":
        return "sweep"
    problem = f"unknown X-Mode {mode[:40]!r}" if mode else "the header X-Mode is missing"
    raise BadRequestError(f"{problem}; the modes are: {', '.join(MODES)}")


def _is_callback(event: Event) -> bool:
    return event.path.rstrip("/") in CALLBACKS


def _is_browser(event: Event) -> bool:
    accepted = event.headers.get("Accept", "").lower()
    return "text/html" in accepted and "text/event-stream" not in accepted


def _check_once(event: Event) -> None:
    """Raise BadRequestError for a header or query parameter that occurs twice: a proxy may have checked the other one.

    A callback's headers are not checked: the called function chose them.
    """
    headers = () if _is_callback(event) else event.headers.items()
    twice = _first_repeated(lower for name, _ in headers if (lower := name.lower()) in HEADERS_ONCE)
    if twice is not None:
        raise BadRequestError(f"the header {twice.title()} is given more than once")
    twice = _first_repeated(name for name, _ in event.query.items())
    if twice is not None:
        raise BadRequestError(f"{twice[:40]!r} in the query is given more than once")


def _first_repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
