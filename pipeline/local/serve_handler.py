"""Serve an OpenFaaS handler file: `python -m pipeline.local.serve_handler FILE` listens on 127.0.0.1 at `$port`.

It accepts the three styles of the Python templates, which differ in the parameters: `def handle(event, context)`,
`async def handle(event, context)` and the classic `def handle(req)`, which gets the body as text. The file's folder is
the package `function`, as it is in the image, so `from .other import x` and `from function.other import x` work.

A dictionary with `statusCode`, `body` or `headers` is an answer in the style of python3-http. Any other value is the
body: text and bytes unchanged, None empty, other values as JSON. An exception becomes a 500 that names it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import socket
import sys
import traceback
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from multidict import CIMultiDictProxy, MultiMapping

HTTP_STYLE = frozenset({"statusCode", "body", "headers"})
# aiohttp's default is 1 MB; a gateway forwards far larger bodies.
MAX_BODY = 64_000_000


class HandlerError(Exception):
    """The file has no usable handler; the message is one line for the user."""


@dataclass(frozen=True)
class Event:
    """The request, as the python3-http template passes it."""

    body: bytes
    headers: CIMultiDictProxy[str]
    method: str
    query: MultiMapping[str]
    path: str


@dataclass(frozen=True)
class Context:
    """The host of the handler, as the python3-http template passes it."""

    hostname: str


@dataclass(frozen=True)
class Handler:
    """A loaded `handle` function: `classic` takes the body as text, otherwise event and context."""

    function: Callable[..., Any]
    classic: bool

    async def __call__(self, event: Event) -> Any:
        """Run the handler, in a thread unless it is a coroutine function."""
        arguments = (event.body.decode(),) if self.classic else (event, Context(socket.gethostname()))
        if inspect.iscoroutinefunction(self.function):
            return await self.function(*arguments)
        return await asyncio.to_thread(self.function, *arguments)


def load_handler(path: Path) -> Handler:
    """Import a file and return its `handle`; raises `HandlerError` if it is unusable."""
    if not path.is_file():
        raise HandlerError(f"{path}: no such file")
    package = ModuleType("function")
    package.__path__ = [str(path.resolve().parent)]
    sys.modules["function"] = package
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location("function.handler", path)
    if spec is None or spec.loader is None:
        raise HandlerError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["function.handler"] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        traceback.print_exc()
        raise HandlerError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return _check(path, getattr(module, "handle", None))


def _check(path: Path, function: Any) -> Handler:
    if not callable(function):
        raise HandlerError(f"{path}: has no function named handle")
    signature = inspect.signature(function)
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return Handler(function, classic=len(arguments) == 1)
    raise HandlerError(f"{path}: handle{signature} takes neither (event, context) nor (req)")


def to_response(answer: Any) -> web.Response:
    """Convert a handler's return value into an HTTP answer; raises TypeError if it cannot become JSON."""
    if not (isinstance(answer, dict) and answer and answer.keys() <= HTTP_STYLE):
        return _body(answer, HTTPStatus.OK, {})
    headers = {str(name): str(value) for name, value in (answer.get("headers") or {}).items()}
    return _body(answer.get("body"), int(answer.get("statusCode", HTTPStatus.OK)), headers)


def _body(body: Any, status: int, headers: dict[str, str]) -> web.Response:
    if body is None or isinstance(body, bytes | bytearray):
        response = web.Response(body=bytes(body or b""), status=status)
    elif isinstance(body, str):
        response = web.Response(text=body, status=status)
    else:
        response = web.json_response(body, status=status)
    # Last, so that a handler's own Content-Type wins.
    response.headers.update(headers)
    return response


HANDLER = web.AppKey("handler", Handler)


async def handle(request: web.Request) -> web.Response:
    """Answer a request with the handler's answer."""
    body = await request.read()
    event = Event(body, request.headers, request.method, request.query, request.path)
    try:
        return to_response(await request.app[HANDLER](event))
    except Exception as error:  # noqa: BLE001 - any exception of a handler is a 500
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        return web.json_response({"error": message}, status=HTTPStatus.INTERNAL_SERVER_ERROR)


async def health(_request: web.Request) -> web.Response:
    """Answer OK: the server listens only once the handler is loaded."""
    return web.Response(text="OK")


def create_app(handler: Handler) -> web.Application:
    """Build the HTTP application around a handler."""
    app = web.Application(client_max_size=MAX_BODY)
    app[HANDLER] = handler
    app.router.add_get("/_/health", health)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


def main(arguments: list[str]) -> int:
    """Serve the file that is the only argument; returns the exit status (2 if it cannot be served)."""
    if len(arguments) != 1:
        print("usage: python -m pipeline.local.serve_handler FILE", file=sys.stderr)
        return 2
    try:
        handler = load_handler(Path(arguments[0]))
    except HandlerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    port = int(os.environ["port"])  # noqa: SIM112 - the name that of-watchdog uses
    web.run_app(create_app(handler), host="127.0.0.1", port=port, access_log=None, print=None)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
