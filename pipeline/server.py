"""The aiohttp app around the handler: requests to events, errors to HTTP, health, and the timer."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web
from aiohttp.hdrs import METH_HEAD
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as EXPOSITION
from structlog.contextvars import bind_contextvars

from pipeline.batch.sweep import Swept, sweep_all
from pipeline.concurrency import cancel_and_wait
from pipeline.context import Context, open_context
from pipeline.errors import BadRequestError, PipelineError, UnavailableError
from pipeline.handler import MODES, Signed, handle, resolve_mode
from pipeline.logs import bind_call
from pipeline.metrics import Metrics
from pipeline.request import BATCH_ID, Event, Response, read_body
from pipeline.settings.environment import Settings

NO_MODE = "none"
# A status that is streamed lasts as long as somebody looks at it, which says nothing of how fast a status is.
STREAM = "stream"
# What changes a batch is worth a line; the rest comes too often.
CHANGES = frozenset({"cancel", "pause", "resume", "tune", "redrive", "delete"})

ERROR_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}
IDLE_FACTOR = 5
SHUTDOWN_TIMEOUT = 60.0

CONTEXT = web.AppKey("context", Context)
log = logging.getLogger(__name__)


def create_app(settings: Settings) -> web.Application:
    """Return the app; its clients are opened at start-up and live as long as it does."""

    async def clients(app: web.Application) -> AsyncIterator[None]:
        async with open_context(settings) as context:
            app[CONTEXT] = context
            timer = asyncio.create_task(_timer(context))
            yield
            await cancel_and_wait(timer)

    server_logger.addFilter(_quote_no_request)
    app = web.Application(handler_args={"auto_decompress": False})
    app.cleanup_ctx.append(clients)
    app.on_shutdown.append(_end_streams)
    app.router.add_get("/_/health", _health)
    app.router.add_get("/_/ready", _ready)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/openapi.yaml", _describing((files("pipeline") / "openapi.yaml").read_bytes()))
    app.router.add_route("*", "/{path:(?s:.*)}", _observe)
    return app


async def _end_streams(app: web.Application) -> None:
    app[CONTEXT].closing.set()


def _quote_no_request(record: logging.LogRecord) -> bool:
    """Keep what was sent out of the log: the error over a malformed header quotes it, and it may be a token."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError):
        record.exc_info = None
    return True


async def _observe(request: web.Request) -> web.StreamResponse:
    event = Event(b"", request.headers, request.method, request.query, request.path)
    with observed(request.app[CONTEXT].metrics, event) as answer:
        response = await _serve(request)
        answer.status = response.status
        if not isinstance(response, web.Response):
            answer.mode = STREAM
    return response


async def _serve(request: web.Request) -> web.StreamResponse:
    try:
        body = await read_body(request)
        event = Event(body, request.headers, request.method, request.query, request.path)
        response = await handle(event, request.app[CONTEXT])
    except PipelineError as error:
        response = _answer(error)
    except Exception:
        log.exception("unexpected error")
        response = Response.json(500, {"error": "internal error: the function's log says more"})
    # Nothing follows the head that HEAD asks for: whatever did would be read as the next answer.
    if response.stream is None or request.method == METH_HEAD:
        return web.Response(status=response.status, body=response.body, headers=dict(response.headers))
    return await _send(request, response, response.stream)


async def _send(request: web.Request, response: Response, pieces: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """Send what a response yields as it comes; a reader who has gone away ends it."""
    streamed = web.StreamResponse(status=response.status, headers=dict(response.headers))
    async with aclosing(pieces):
        try:
            await streamed.prepare(request)
            async for piece in pieces:
                await streamed.write(piece)
        except ConnectionError:
            return streamed
        await streamed.write_eof()
    return streamed


def _answer(error: PipelineError) -> Response:
    document: dict[str, object] = {"error": str(error)}
    if error.problems:
        document["problems"] = error.problems
    response = Response.json(error.status, document)
    if isinstance(error, UnavailableError):
        log.warning("%s", error)
    return Response(response.status, response.body, {**response.headers, **ERROR_HEADERS.get(error.status, {})})


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="OK")


async def _ready(request: web.Request) -> web.Response:
    # Not S3: a callback needs Redis alone, and OpenFaaS CE never repeats one that no replica was ready for.
    try:
        await request.app[CONTEXT].ledger.ping()
    except UnavailableError as error:
        return web.Response(status=503, text=str(error))
    return web.Response(text="OK")


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=request.app[CONTEXT].metrics.exposition(), headers={"Content-Type": EXPOSITION})


def _describing(document: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/yaml")

    return describe


async def _timer(context: Context) -> None:
    """Sweep while there are batches to sweep, and look for them now and then while there are none.

    Replicas take turns by jitter.
    """
    bind_contextvars(mode="timer")
    swept = Swept(0, 0)
    while True:
        pause = context.settings.sweep_interval * (1 if any(swept) else IDLE_FACTOR)
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311
        try:
            swept = await sweep_all(context)
        except UnavailableError as error:
            log.warning("open batches could not be swept", extra={"error": str(error)})
        except Exception:
            log.exception("unexpected error in the sweep")


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
