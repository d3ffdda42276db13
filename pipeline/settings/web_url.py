"""The http and https URLs that a batch may notify: their normal form, and the prefixes that allow them."""

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote

from yarl import URL

URL_LIMIT = 2048
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"[^/?#]*//[^/?#]*([^?#]*)")
# Escapes that servers decode differently (dots, slashes, percent signs, controls), and broken escapes.
_ENCODED = re.compile(r"%(2e|2f|5c|25|[01][0-9a-f]|7f|(?![0-9a-f]{2}))", re.IGNORECASE)


def web_url(text: str) -> URL:
    """Return a URL in the normal form in which it is compared and called; raises ValueError that does not quote it.

    Scheme and host are in lower case, the host in ASCII, escapes as in RFC 3986. A URL that programs may read
    differently is refused: dots as a segment of the path, escaped slashes, backslashes, blanks.
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
    """Return whether a segment is dots; some servers ignore parameters after a semicolon."""
    return segment.split(";", maxsplit=1)[0] in {".", ".."}


def is_under(url: URL, prefix: URL) -> bool:
    """Return whether a URL begins with a prefix, by whole segments of the path; its query does not matter."""
    segments, above = _segments(url), _segments(prefix)
    return url.origin() == prefix.origin() and segments[: len(above)] == above


def _segments(url: URL) -> list[str]:
    return url.raw_path.rstrip("/").split("/")


def origin(url: URL) -> str:
    """Return the origin of a URL, which may be shown: the rest may be a secret."""
    return str(url.origin())
