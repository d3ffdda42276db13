"""Requests that no client library sends: broken, cut off, or with a wrong length."""

import gzip
import http.client
import io
import socket
from dataclasses import dataclass
from typing import cast

from hypothesis import strategies as st

PATIENCE = 30.0
# For an incomplete request: the function may wait for the rest of it.
SHORT_PATIENCE = 0.3


class NoAnswerError(Exception):
    """The connection ended, or stood still, without a whole answer; the text says which."""


@dataclass(frozen=True)
class Raw:
    """Bytes that are no whole request, or several; `answers` is the number of answers due, None for any."""

    sent: bytes
    answers: int | None = None


_END = b"Host: x\r\nConnection: close\r\n"
_STATUS = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_LAST = b"GET / HTTP/1.1\r\n" + _END + b"\r\n"
_POST = b"POST / HTTP/1.1\r\n" + _END + b"X-Mode: batch\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LINES = (
    *(
        b"OPTIONS * HTTP/1.1",
        b"CONNECT x:443 HTTP/1.1",
        b"get / HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET /#a?batch=b HTTP/1.1",
    ),
    *(b"GET /?" + b"x" * 100_000 + b" HTTP/1.1", b"GET /\xff?\xfe=\xfd HTTP/1.1"),
)
_FIELDS = (
    *(b"X-A: " + b"x" * 1_000_000, b"X-A: x\r\n" * 10_000, b"X-A: a\x00b", b"X-A: a\rb", b"X-A: a\r\n b"),
    *(b"nonsense", b"X-A : a", b": a", b"Content-Length: -1", b"Content-Length: 1e3", b"Content-Length: " + b"9" * 23),
    *(b"Transfer-Encoding: zip", b"Connection: Upgrade\r\nUpgrade: websocket", b"Connection: Upgrade\r\nUpgrade: h2c"),
)
# Each after what says how long it is.
_BODIES = (
    (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"ab"),
    (b"Content-Length: 100\r\n", b"{"),
    (b"Content-Length: 2\r\n", b"{}{}GET / HTTP/1.1\r\n\r\n"),
    (b"Content-Length: 3\r\n" + _CHUNKED, b"0\r\n\r\n"),
    (b"Content-Length: 2\r\nExpect: 100-continue\r\n", b"{}"),
    (b"Content-Length: 2\r\nExpect: the unexpected\r\n", b"{}"),
    (_CHUNKED + _CHUNKED, b"0\r\n\r\n"),
    (_CHUNKED, b"1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n"),
    *((_CHUNKED, body) for body in (b"ff\r\nabc", b"zz\r\nabc\r\n0\r\n\r\n", b"f" * 18 + b"\r\nabc\r\n")),
    *((_CHUNKED, body) for body in (b"1\r\nab\r\n0\r\n\r\n", b"1\r\n{\r\n0\r\nX-Mode: sweep\r\n\r\n")),
)
_ODD = (
    *(_STATUS + b"nonsense\r\n\r\n", b"GET /\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"G" * 100_000),
    *(_POST.replace(b"\r\n", b"\n") + b"\n", b"", b"\r\n" * 1000),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    *(line + b"\r\n" + _END + b"\r\n" for line in _LINES),
    *(_POST + field + b"\r\n\r\n" for field in _FIELDS),
    *(_POST + length + b"\r\n" + body for length, body in _BODIES),
)
_FIXED = (
    *map(Raw, _ODD),
    Raw(_STATUS * 4 + _LAST, 5),
    Raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" + _LAST, 2),
    Raw(b"GET / HTTP/1.0\r\n\r\n", 1),
    Raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 1),
    Raw(b"GET http://x/?batch=nosuch HTTP/1.1\r\n" + _END + b"\r\n", 1),
    Raw(b"TRACE / HTTP/1.1\r\n" + _END + b"\r\n", 1),
)
# 65 MiB of zeros.
_BOMB = gzip.compress(bytes(65 << 20), mtime=0)
_UNPACKED = Raw(_POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_BOMB) + _BOMB, 1)


def _garble(request: bytes, place: int, bits: bytes) -> Raw:
    place %= len(request)
    return Raw(request[:place] + bits + request[place + 1 :])


_garbled = st.builds(
    _garble,
    st.sampled_from([_LAST, _POST + b"Content-Length: 2\r\n\r\n{}", _POST + _CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n"]),
    st.integers(0, 200),
    st.binary(max_size=3),
)
# By its place: hypothesis would describe the strategy by megabytes.
_fixed = st.integers(0, 2 * len(_FIXED)).map(lambda place: [*_FIXED, *_FIXED, _UNPACKED][place])
raw_steps = st.one_of(_fixed, _fixed, _garbled)


def exchange(port: int, sent: bytes, *, whole: bool = True) -> bytes:
    """Send bytes, and return all that comes back until the connection ends.

    Without `whole` a connection that stands still is ended from here. Raises NoAnswerError for one that ought not to.
    """
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE if whole else SHORT_PATIENCE) as connection:
            connection.sendall(sent)
            while more := connection.recv(1 << 16):
                received += more
    except TimeoutError:
        if whole:
            raise NoAnswerError(f"no end within {PATIENCE:g} s, after {received[:100]!r}") from None
    except OSError as error:
        if whole and not received:
            raise NoAnswerError(f"the connection broke ({type(error).__name__})") from error
    return received


def read_answers(received: bytes, method: str) -> list[tuple[int, bytes]]:
    """Return status and body of the answers in the received bytes; raises NoAnswerError for one that is cut off."""
    file = _Unclosable(received)
    answers = []
    while file.tell() < len(received):
        response = http.client.HTTPResponse(cast("socket.socket", file), method=method)
        try:
            response.begin()
            answers.append((response.status, response.read()))
        except (http.client.HTTPException, ValueError) as error:
            raise NoAnswerError(f"half an answer ({error!r}): {received[:100]!r}") from error
    return answers


class _Unclosable(io.BytesIO):
    """A socket for http.client, which closes its file after an answer."""

    def makefile(self, _mode: str) -> io.BytesIO:
        return self

    def close(self) -> None:
        """Stay open for the next answer."""
