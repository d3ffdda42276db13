"""Addresses that a batch may name: http and https URLs in one spelling, and what lies under a prefix."""

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote

from yarl import URL

URL_LIMIT = 2048
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"[^/?#]*//[^/?#]*([^?#]*)")
# Encoded, these would be another path to who decodes once more than others do; and what is no escape at all.
_ENCODED = re.compile(r"%(2e|2f|5c|25|[01][0-9a-f]|7f|(?![0-9a-f]{2}))", re.IGNORECASE)


def web_url(text: str) -> URL:
    """Return a URL in the one spelling in which it is compared and called; raises ValueError that does not quote it.

    Scheme and host come in lower case, the host in ASCII, escapes as RFC 3986 has them. What some readers take for
    another place than others is refused: dots as a segment of the path, escaped slashes, backslashes, blanks.
    """
    if len(text) > URL_LIMIT or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(f"expected a URL of at most {URL_LIMIT} characters, without blanks, controls and backslashes")
    try:
        url = URL(text)
    except ValueError:
        raise ValueError("expected an http:// or https:// URL") from None
    if url.scheme not in {"http", "https"} or not _is_host(url.raw_host or "") or url.explicit_port == 0:
        raise ValueError("expected an http:// or https:// URL with a host")
    if url.user is not None or url.password is not None:
        raise ValueError("a user name or password in a URL would be kept with the batch")
    if url.raw_fragment or "#" in text:
        raise ValueError("a URL that is called has no fragment (#)")
    path = _PATH.match(text)
    if path is None or _ENCODED.search(path[1]) or any(map(_is_dots, unquote(path[1]).split("/"))):
        raise ValueError("'.' and '..' in the path of a URL, and escaped dots, slashes and controls are not understood")
    return url


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return IPv6Address(host).scope_id is None
        except AddressValueError:
            return False
    return bool(_HOST.fullmatch(host))


def _is_dots(segment: str) -> bool:
    """Parameters after a semicolon are no part of the name to some servers."""
    return segment.split(";", maxsplit=1)[0] in {".", ".."}


def is_under(url: URL, prefix: URL) -> bool:
    """Say whether a URL is the prefix or lies under it, by whole segments of the path; its query does not count."""
    segments, above = _segments(url), _segments(prefix)
    return url.origin() == prefix.origin() and segments[: len(above)] == above


def _segments(url: URL) -> list[str]:
    return url.raw_path.rstrip("/").split("/")


def origin(url: URL) -> str:
    """Return what may be shown of a URL: the rest may be a secret."""
    return str(url.origin())
