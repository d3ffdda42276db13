"""Raw HTTP to the function and back: a client library would refuse to send most of this."""

from __future__ import annotations

import asyncio
import http.client
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

PATIENCE = 30.0
# For an incomplete request: the function may wait for the rest of it.
SHORT_PATIENCE = 0.3


class NoAnswerError(Exception):
    """The connection ended, or stood still, without a whole answer; the text says which."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `has_body` is false for HEAD."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    has_body: bool = True

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get_content_type()


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire, its headers well-formed."""

    method: bytes
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = b""
    chunked: bool = False

    def encode(self) -> bytes:
        """Return its bytes; the connection is asked to close afterwards."""
        framing = (b"Transfer-Encoding", b"chunked") if self.chunked else (b"Content-Length", b"%d" % len(self.body))
        lines = [(b"Host", b"127.0.0.1"), (b"Connection", b"close"), framing, *self.headers]
        head = b"".join(b"%s: %s\r\n" % line for line in lines)
        body = _chunks(self.body) if self.chunked else self.body
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (self.method, self.target, head, body)


def _chunks(body: bytes) -> bytes:
    half = len(body) // 2
    parts = [part for part in (body[:half], body[half:]) if part]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class _Wire:
    """A socket for http.client, from which several answers can be read one after the other."""

    def __init__(self, received: bytes) -> None:
        self.file = _Unclosable(received)

    def makefile(self, _mode: str) -> io.BytesIO:
        return self.file


class _Unclosable(io.BytesIO):
    def close(self) -> None:
        """Stay open: http.client closes the file after an answer."""


async def exchange(port: int, sent: bytes, *, whole: bool = True) -> bytes:
    """Send bytes, and return all that comes back until the connection ends.

    Without `whole` a connection that stands still is ended from here. Raises NoAnswerError for one that ought not to.
    """
    received = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise NoAnswerError(f"no connection ({error})") from error
    try:
        writer.write(sent)
        async with asyncio.timeout(PATIENCE if whole else SHORT_PATIENCE):
            # A function that has answered already reads no more: both ways at once, or neither goes on.
            while more := await reader.read(1 << 16):
                received += more
    except TimeoutError:
        if whole:
            raise NoAnswerError(f"no end within {PATIENCE:g} s, after {received[:100]!r}") from None
    except OSError as error:
        if whole and not received:
            raise NoAnswerError(f"the connection broke ({type(error).__name__})") from error
    finally:
        writer.transport.abort()
    return received


def read_answers(received: bytes, method: bytes = b"POST") -> list[Answer]:
    """Read the answers in the received bytes; raises NoAnswerError for one that is cut off."""
    wire = _Wire(received)
    answers = []
    while wire.file.tell() < len(received):
        response = http.client.HTTPResponse(cast("socket.socket", wire), method=method.decode("latin-1"))
        try:
            response.begin()
            body = response.read()
        except (http.client.HTTPException, ValueError) as error:
            raise NoAnswerError(f"half an answer ({error!r}): {received[:100]!r}") from error
        answers.append(Answer(response.status, response.headers, body, has_body=method != b"HEAD"))
    return answers


async def ask(port: int, request: Request, *, bodiless: bool = True) -> Answer:
    """Send a well-formed request; raises NoAnswerError unless there is one whole answer.

    Without `bodiless` the answer to a HEAD may have a body: aiohttp gives it one where it refuses the request itself.
    """
    received = await exchange(port, request.encode())
    with_body = not bodiless and b"\r\nContent-Type: text/plain" in received.partition(b"\r\n\r\n")[0]
    answers = read_answers(received, b"POST" if with_body else request.method)
    if len(answers) != 1:
        raise NoAnswerError(f"{len(answers)} answers to one request")
    return answers[0]
