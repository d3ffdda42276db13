"""Headers, paths and callback URLs as the Go code of gateway and queue-worker treats them."""

import posixpath
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from multidict import CIMultiDict

SERVED_BY = "openfaas-ce/"
GATEWAY_AGENT = "openfaas-ce-gateway/dev"
WORKER_AGENT = "openfaas-ce/nats-queue-worker"
CALLBACK_AGENT = "Go-http-client/1.1"

# aiohttp's client adds these by default; Go's adds none of them unless the caller sent them.
NO_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_PORT = re.compile(r"(:[0-9]*)?")


def end_to_end(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """Copy the headers that a proxy forwards; framing (length, chunks) belongs to each hop."""
    return CIMultiDict([pair for pair in headers if pair[0].lower() not in _HOP_BY_HOP])


def clean_path(raw_path: str) -> str | None:
    """Return the path to which the gateway's router redirects a path with `//`, `.` or `..`; None if it is clean."""
    path = unquote(raw_path)
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/") and clean != "/":
        clean += "/"
    return None if clean == path else quote(clean, safe="/$&+,:;=@~")


def url_error(url: str) -> str | None:
    """Return the error of Go's `url.Parse`, with which the gateway reads `X-Callback-Url`; None if `url` is valid."""
    reason = _parse_error(url)
    return None if reason is None else f'parse "{url}": {reason}'


def _parse_error(url: str) -> str | None:
    if _CONTROL.search(url):
        return "net/url: invalid control character in URL"
    if url.startswith(":"):
        return "missing protocol scheme"
    rest = url.partition("#")[0].partition("?")[0]
    scheme = _SCHEME.match(rest)
    rest = rest[scheme.end() :] if scheme else rest
    if not scheme and ":" in rest.partition("/")[0]:
        return "first path segment in URL cannot contain colon"
    path = rest
    if rest.startswith("//"):
        authority, slash, tail = rest[2:].partition("/")
        path = slash + tail
        if reason := _host_error(authority.rpartition("@")[2]):
            return reason
    elif scheme and not rest.startswith("/"):
        return None
    bad = _BAD_ESCAPE.search(path)
    return f'invalid URL escape "{bad[0]}"' if bad else None


def _host_error(host: str) -> str | None:
    if host.startswith("["):
        name, bracket, port = host.rpartition("]")
        if not bracket:
            return "missing ']' in host"
    else:
        name, colon, digits = host.partition(":")
        port = colon + digits
    if not _PORT.fullmatch(port):
        return f'invalid port "{port}" after host'
    if bad := _BAD_ESCAPE.search(name):
        return f'invalid URL escape "{bad[0]}"'
    return 'invalid character " " in host name' if " " in name else None
