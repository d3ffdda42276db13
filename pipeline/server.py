"""The aiohttp app around the handler: requests to events, errors to HTTP, health, and the sweep's timer."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files

from aiohttp import web
from aiohttp.hdrs import METH_HEAD
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as EXPOSITION
from structlog.contextvars import bind_contextvars

from pipeline.batch.sweep import Swept, sweep_all
from pipeline.bodies import SIGNED_ONLY, read_body
from pipeline.capacity import Caller
from pipeline.concurrency import cancel_and_wait
from pipeline.context import Context, open_context
from pipeline.errors import BadRequestError, PipelineError, UnavailableError
from pipeline.handler import MODES, Signed, admit, resolve_mode
from pipeline.logs import bind_call
from pipeline.metrics import Metrics
from pipeline.request import BATCH_ID, Event, Response
from pipeline.settings.environment import Settings

NO_MODE = "none"
# A label of its own: a streamed status lasts as long as its reader stays, unlike other requests.
STREAM = "stream"
# These modes are logged at INFO; requests of the others are too many.
CHANGES = frozenset({"cancel", "pause", "resume", "tune", "redrive", "delete"})

ERROR_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "2"}, 503: {"Retry-After": "2"}}
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
    app.router.add_get("/openapi.yaml", _serve_yaml((files("pipeline") / "openapi.yaml").read_bytes()))
    app.router.add_route("*", "/{path:(?s:.*)}", _serve_observed)
    return app


async def _end_streams(app: web.Application) -> None:
    app[CONTEXT].closing.set()


def _quote_no_request(record: logging.LogRecord) -> bool:
    """Drop the traceback of a malformed request: it quotes a header, which may hold a token."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError):
        record.exc_info = None
    return True


async def _serve_observed(request: web.Request) -> web.StreamResponse:
    event = Event(b"", request.headers, request.method, request.query, request.path)
    with observe(request.app[CONTEXT].metrics, event) as result:
        response = await _serve(request, event)
        result.status = response.status
        if not isinstance(response, web.Response):
            result.mode = STREAM
    return response


async def _serve(request: web.Request, event: Event) -> web.StreamResponse:
    """Answer a request; `event` is the request without its body, which is read only if the request is admitted."""
    context = request.app[CONTEXT]
    try:
        admission = admit(event, context)
        async with context.bodies.part(caller=Caller(spare=0 if admission.is_signed else SIGNED_ONLY)) as part:
            response = await admission.answer(replace(event, body=await read_body(request, part)))
    except PipelineError as error:
        response = _error_response(error)
    except Exception:
        log.exception("unexpected error")
        response = Response.json(500, {"error": "internal error: the function's log says more"})
    # After the head of a HEAD request nothing is sent: the client would read it as the next response.
    if response.stream is None or request.method == METH_HEAD:
        return web.Response(status=response.status, body=response.body, headers=dict(response.headers))
    return await _send(request, response, response.stream)


async def _send(request: web.Request, response: Response, pieces: AsyncGenerator[bytes, None]) -> web.StreamResponse:
    """Send the pieces of a stream as they come, until the stream ends or the client goes away."""
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


def _error_response(error: PipelineError) -> Response:
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
    # S3 is not checked: a callback needs Redis alone, and OpenFaaS CE does not repeat one that no ready replica took.
    try:
        await request.app[CONTEXT].ledger.ping()
    except UnavailableError as error:
        return web.Response(status=503, text=str(error))
    return web.Response(text="OK")


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=request.app[CONTEXT].metrics.exposition(), headers={"Content-Type": EXPOSITION})


def _serve_yaml(document: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/yaml")

    return serve


async def _timer(context: Context) -> None:
    """Sweep every `sweep_interval`, or more seldom while there are no batches; jitter spreads the replicas."""
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
class RequestResult:
    """The mode and the status of a request, for log and metrics; status 0 means that the client has gone away."""

    mode: str
    status: int = 0


@contextmanager
def observe(metrics: Metrics, event: Event) -> Iterator[RequestResult]:
    """Bind a request's fields to the log, and count and log its result, whose status the caller sets.

    Nothing is unbound: each request is served in a context of its own (aiohttp, issue 3406). The batch is bound before
    the token is checked; that of a signed request only once its signature is verified, by its mode.
    """
    mode = _mode(event)
    bind_call(mode, event.headers)
    batch = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not isinstance(MODES.get(mode), Signed) and BATCH_ID.fullmatch(batch):
        bind_contextvars(batch=batch)
    result = RequestResult(mode)
    started = time.monotonic()
    metrics.in_flight(1)
    try:
        yield result
    finally:
        seconds = time.monotonic() - started
        metrics.in_flight(-1)
        metrics.answered(result.mode, result.status, seconds)
        level = logging.INFO if mode in CHANGES else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(level, "answered", extra={"status": result.status, "seconds": round(seconds, 6)})


def _mode(event: Event) -> str:
    try:
        return resolve_mode(event)
    except BadRequestError:
        return NO_MODE
