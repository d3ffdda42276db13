"""A model function: the URL of a picture in, the five likeliest ImageNet labels out.

`python -m pipeline.local.demo.classify` listens on 127.0.0.1 at `$port`.

| request | answer |
|---|---|
| `POST /`, body a URL | 200 `[{"name": "espresso", "score": 0.99}, ...]`, or a failure: `{"error": "..."}` |
| `POST /`, `application/json`, body an array of URLs | 200, an array as long: labels or `{"error": "..."}` for each |
| `GET /_/health` | 200 once the model is loaded (before that, nothing listens) |

An invalid URL is a 400, a missing or undecodable picture a 422 (a retry does not help). A host that fails is a 502, one
that is too slow a 504 (a retry may help).
"""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientSession, ClientTimeout, InvalidURL, web
from yarl import URL

from pipeline.local.demo.squeezenet import Classifier, Label, PictureError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_PICTURE = 20_000_000
FETCH_TIMEOUT = ClientTimeout(total=15, sock_connect=5)
# Enough to keep the network busy during downloads, few enough to hold all pictures in memory.
ARRAY_CONCURRENCY = 8


class FetchError(Exception):
    """A picture could not be classified; `status` is the HTTP status to answer with."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Model:
    """The parts that a request needs: the classifier, its thread, and an HTTP client for the pictures."""

    classifier: Classifier
    thread: ThreadPoolExecutor
    session: ClientSession

    async def classify(self, url: str) -> list[Label]:
        """Fetch the picture at `url` and label it; raises `FetchError`."""
        picture = await fetch(self.session, url)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.thread, self.classifier.labels, picture)
        except PictureError as error:
            raise FetchError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


MODEL = web.AppKey("model", Model)


async def fetch(session: ClientSession, text: str) -> bytes:
    """Download the picture at a URL, at most 20 MB; raises `FetchError`."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise FetchError(HTTPStatus.BAD_REQUEST, f"not an http(s) URL: {text[:200]!r}")
    try:
        async with session.get(url) as response:
            if not response.ok:
                raise FetchError(_status_for(response.status), f"the picture's host answered {response.status}")
            return await _read(response.content.iter_chunked(1 << 16))
    except InvalidURL as error:
        raise FetchError(HTTPStatus.BAD_REQUEST, f"not an http(s) URL: {text[:200]!r}") from error
    except TimeoutError as error:
        raise FetchError(HTTPStatus.GATEWAY_TIMEOUT, "the picture's host did not answer in time") from error
    except ClientError as error:
        raise FetchError(HTTPStatus.BAD_GATEWAY, f"the picture's host cannot be reached: {error}") from error


def _status_for(host_status: int) -> HTTPStatus:
    busy = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
    retryable = host_status >= HTTPStatus.INTERNAL_SERVER_ERROR or host_status in busy
    return HTTPStatus.BAD_GATEWAY if retryable else HTTPStatus.UNPROCESSABLE_ENTITY


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    picture = bytearray()
    async for chunk in chunks:
        picture += chunk
        if len(picture) > MAX_PICTURE:
            raise FetchError(HTTPStatus.UNPROCESSABLE_ENTITY, f"the picture is larger than {MAX_PICTURE} bytes")
    return bytes(picture)


async def handle(request: web.Request) -> web.Response:
    """Answer one URL (text) or an array of URLs (JSON)."""
    model = request.app[MODEL]
    if request.content_type == "application/json":
        return await _handle_array(model, await request.read())
    try:
        url = (await request.read()).decode().strip()
    except UnicodeDecodeError:
        return web.json_response({"error": "the body is not text"}, status=HTTPStatus.BAD_REQUEST)
    try:
        return web.json_response(await model.classify(url))
    except FetchError as error:
        return web.json_response({"error": str(error)}, status=error.status)


async def _handle_array(model: Model, body: bytes) -> web.Response:
    try:
        urls = json.loads(body)
    except ValueError:
        urls = None
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        return web.json_response({"error": "the body is not a JSON array of URLs"}, status=HTTPStatus.BAD_REQUEST)
    slots = asyncio.Semaphore(ARRAY_CONCURRENCY)

    async def entry(url: str) -> list[Label] | dict[str, str]:
        async with slots:
            try:
                return await model.classify(url)
            except FetchError as error:
                return {"error": str(error)}

    return web.json_response(await asyncio.gather(*map(entry, urls)))


async def health(_request: web.Request) -> web.Response:
    """Answer OK: the server listens only once the model is loaded."""
    return web.Response(text="OK")


async def _model(app: web.Application) -> AsyncIterator[None]:
    # One thread: numpy gains nothing from more, and downloads continue on the event loop.
    with ThreadPoolExecutor(max_workers=1) as thread:
        classifier = await asyncio.get_running_loop().run_in_executor(thread, Classifier.load)
        async with ClientSession(timeout=FETCH_TIMEOUT) as session:
            app[MODEL] = Model(classifier, thread, session)
            yield


def create_app() -> web.Application:
    """Build the function's HTTP application; the model is loaded when it starts."""
    app = web.Application()
    app.cleanup_ctx.append(_model)
    app.router.add_get("/_/health", health)
    app.router.add_post("/", handle)
    return app


if __name__ == "__main__":
    port = int(os.environ["port"])  # noqa: SIM112 - the name that of-watchdog uses
    web.run_app(create_app(), host="127.0.0.1", port=port, access_log=None, print=None)
