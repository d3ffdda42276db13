"""The aiohttp app around the handler: requests to events, errors to HTTP, health, and the timer."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from importlib.resources import files
from typing import TypeVar

from aiohttp import StreamReader, web
from aiohttp.hdrs import METH_HEAD
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as EXPOSITION
from structlog.contextvars import bind_contextvars

from pipeline.batch.sweep import Swept, sweep_all
from pipeline.context import Context, open_context
from pipeline.encodings import unpack_body
from pipeline.errors import BadRequestError, PipelineError, TooLargeError, UnavailableError
from pipeline.handler import handle
from pipeline.observing import STREAM, observed
from pipeline.repeating import end
from pipeline.request import DIRECT_PATH, MIB, Event, Response
from pipeline.settings.environment import Settings

BODY_LIMIT = 64 * MIB
# Seconds without a word in the middle of a body after which it has broken off.
SILENCE = 20.0
ERROR_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}
IDLE_FACTOR = 5
SHUTDOWN_TIMEOUT = 60.0

Body = TypeVar("Body", bytes, bytearray)
CONTEXT = web.AppKey("context", Context)
log = logging.getLogger(__name__)


def create_app(settings: Settings) -> web.Application:
    """Return the app; its clients are opened at start-up and live as long as it does."""

    async def clients(app: web.Application) -> AsyncIterator[None]:
        async with open_context(settings) as context:
            app[CONTEXT] = context
            timer = asyncio.create_task(_timer(context))
            yield
            await end(timer)

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
        body = await _read(request)
        event = Event(body, request.headers, request.method, request.query, request.path)
        response = await handle(event, request.app[CONTEXT])
    except PipelineError as error:
        response = _answer(error)
    except Exception:
        log.exception("an error without a name")
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


async def _read(request: web.Request) -> bytes:
    """Read the body whole, and unpack it: it comes chunked, so no header says how long it is."""
    try:
        body = await _whole(request.content)
    except web.RequestPayloadError as error:
        raise BadRequestError(f"the body cannot be read ({type(error).__name__})") from None
    except ConnectionError:
        raise BadRequestError("the body broke off: the client has gone away") from None
    except TimeoutError:
        raise BadRequestError(f"the body broke off: nothing more of it came in {SILENCE:g} s") from None
    encoding = request.headers.get("Content-Encoding", "")
    # What a model function says of its own answer may be wrong, and that is a result.
    if not encoding or request.path.rstrip("/") == DIRECT_PATH:
        return body
    return _within_limit(await asyncio.to_thread(unpack_body, body, encoding, BODY_LIMIT + 1))


async def _whole(content: StreamReader) -> bytes:
    """Read to the end; raises TooLargeError above BODY_LIMIT, TimeoutError where nothing comes for SILENCE seconds."""
    if content.is_eof():
        # All of it is here, as that of a task or a callback mostly is: there is nothing to wait for.
        return _within_limit(content.read_nowait())
    body, clock = bytearray(), asyncio.get_running_loop().time
    async with asyncio.timeout(SILENCE) as patience:
        async for piece in content.iter_any():
            body += piece
            _within_limit(body)
            patience.reschedule(clock() + SILENCE)
    return bytes(body)


def _within_limit(body: Body) -> Body:
    if len(body) > BODY_LIMIT:
        raise TooLargeError(f"the body is over {BODY_LIMIT // MIB} MiB: put the CSV into S3 and send its key")
    return body


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
            log.exception("sweep: an error without a name")
