"""Requests and answers at the gateway, and the interceptor between them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import StreamReader
from multidict import CIMultiDict

PLAIN_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a caller, with its whole body.

    `Content-Length` is the only header of framing, present if the function sent it. `proxied` is false if the gateway
    refused the call before it reached a function: such an answer lacks the gateway's own headers.
    """

    status: int
    headers: CIMultiDict[str]
    body: bytes
    proxied: bool = True


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request at the gateway: a message to `enqueue`, a `function` call, or a `message` that a worker delivers.

    `host` and `address` are the caller's Host header and its address.
    """

    kind: Literal["enqueue", "function", "message"]
    function: str
    path: str
    headers: CIMultiDict[str]
    body: bytes | StreamReader
    method: str = "POST"
    host: str = ""
    address: str = ""


# Stands between a request and its effect: it may refuse the request, lose the answer, or only observe.
Interceptor = Callable[[Exchange, Callable[[], Awaitable[Answer]]], Awaitable[Answer]]


async def proceed_unchanged(_exchange: Exchange, proceed: Callable[[], Awaitable[Answer]]) -> Answer:
    """Proceed: the platform without faults."""
    return await proceed()


def text_answer(status: int, text: str) -> Answer:
    """Answer as Go's `http.Error` does, which gateway and provider use for their own errors."""
    headers = {"Content-Type": PLAIN_TEXT, "X-Content-Type-Options": "nosniff"}
    return Answer(status, CIMultiDict(headers), f"{text}\n".encode())
