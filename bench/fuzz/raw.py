"""Requests that no client library sends: broken, cut off, or with a wrong length."""

import gzip
import http.client
import io
import socket
from dataclasses import dataclass, field
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

    name: str
    sent: bytes = field(repr=False)
    answers: int | None = None


_HOST = b"Host: x\r\n"
_CLOSE = b"Connection: close\r\n"
_STATUS = b"GET / HTTP/1.1\r\n" + _HOST + b"\r\n"
_LAST = b"GET / HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"
_POST = b"POST / HTTP/1.1\r\n" + _HOST + _CLOSE + b"X-Mode: batch\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
# 65 MiB of zeros.
_BOMB = gzip.compress(bytes(65 << 20), mtime=0)

_FIXED = (
    Raw("five pipelined requests", _STATUS * 4 + _LAST, 5),
    Raw("pipelined after a refusal", b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Length: 2\r\n\r\n{}" + _LAST, 2),
    Raw("pipelined after nonsense", b"GET / HTTP/1.1\r\n" + _HOST + b"\r\nnonsense\r\n\r\n"),
    Raw("HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", 1),
    Raw("HTTP/0.9", b"GET /\r\n"),
    Raw("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Raw("another version", b"GET / HTTP/9.9\r\n" + _HOST + b"\r\n"),
    Raw("no host", b"GET / HTTP/1.1\r\n" + _CLOSE + b"\r\n", 1),
    Raw("a whole URL", b"GET http://x/?batch=nosuch HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n", 1),
    Raw("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"),
    Raw("CONNECT", b"CONNECT x:443 HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"),
    Raw("TRACE", b"TRACE / HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n", 1),
    Raw("a small method", b"get / HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"),
    Raw("a request line without end", b"G" * 100_000),
    Raw("a long target", b"GET /?" + b"x" * 100_000 + b" HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"),
    Raw("a huge header", b"GET / HTTP/1.1\r\n" + _HOST + _CLOSE + b"X-A: " + b"x" * 1_000_000 + b"\r\n\r\n"),
    Raw("ten thousand headers", b"GET / HTTP/1.1\r\n" + _HOST + _CLOSE + b"X-A: x\r\n" * 10_000 + b"\r\n"),
    Raw("a zero in a header", _POST + b"X-A: a\x00b\r\n\r\n"),
    Raw("a lone carriage return", _POST + b"X-A: a\rb\r\n\r\n"),
    Raw("a folded header", _POST + b"X-A: a\r\n b\r\n\r\n"),
    Raw("a header without a colon", _POST + b"nonsense\r\n\r\n"),
    Raw("a space before the colon", _POST + b"X-A : a\r\n\r\n"),
    Raw("a header without a name", _POST + b": a\r\n\r\n"),
    Raw("line feeds alone", _POST.replace(b"\r\n", b"\n") + b"\n"),
    Raw("two lengths", _POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    Raw("a negative length", _POST + b"Content-Length: -1\r\n\r\n"),
    Raw("a length that is no number", _POST + b"Content-Length: 1e3\r\n\r\n"),
    Raw("a huge length", _POST + b"Content-Length: 99999999999999999999999\r\n\r\n"),
    Raw("more promised than sent", _POST + b"Content-Length: 100\r\n\r\n{"),
    Raw("more sent than promised", _POST + b"Content-Length: 2\r\n\r\n{}{}GET / HTTP/1.1\r\n\r\n"),
    Raw("a length and chunks", _POST + b"Content-Length: 3\r\n" + _CHUNKED + b"\r\n0\r\n\r\n"),
    Raw("chunks twice", _POST + _CHUNKED + _CHUNKED + b"\r\n0\r\n\r\n"),
    Raw("an unknown coding", _POST + b"Transfer-Encoding: zip\r\n\r\n"),
    Raw("a cut chunk", _POST + _CHUNKED + b"\r\nff\r\nabc"),
    Raw("a chunk of no size", _POST + _CHUNKED + b"\r\nzz\r\nabc\r\n0\r\n\r\n"),
    Raw("a chunk of a huge size", _POST + _CHUNKED + b"\r\nffffffffffffffffff\r\nabc\r\n"),
    Raw("a long chunk extension", _POST + _CHUNKED + b"\r\n1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n"),
    Raw("a chunk without an end", _POST + _CHUNKED + b"\r\n1\r\nab\r\n0\r\n\r\n"),
    Raw("trailers", _POST + _CHUNKED + b"\r\n1\r\n{\r\n0\r\nX-Mode: sweep\r\n\r\n"),
    Raw("an expectation", _POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"),
    Raw("another expectation", _POST + b"Expect: the unexpected\r\nContent-Length: 2\r\n\r\n{}"),
    Raw("a websocket", b"GET / HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    Raw("an upgrade", b"POST / HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
    Raw("a target that is no text", b"GET /\xff?\xfe=\xfd HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"),
    Raw("a fragment", b"GET /#a?batch=b HTTP/1.1\r\n" + _HOST + _CLOSE + b"\r\n"),
    Raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)),
    Raw("nothing", b""),
    Raw("empty lines", b"\r\n" * 1000),
)
_BODY_BOMB = Raw(
    "a body that unpacks to 65 MiB",
    _POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_BOMB) + _BOMB,
    1,
)


def _garble(request: bytes, place: int, bits: bytes) -> Raw:
    place %= len(request)
    sent = request[:place] + bits + request[place + 1 :]
    return Raw(f"garbled: {sent!r}", sent)


_garbled = st.builds(
    _garble,
    st.sampled_from([_LAST, _POST + b"Content-Length: 2\r\n\r\n{}", _POST + _CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n"]),
    st.integers(0, 200),
    st.binary(max_size=3),
)
raw_steps = st.one_of(st.sampled_from(_FIXED), st.sampled_from((*_FIXED, _BODY_BOMB)), _garbled)


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
