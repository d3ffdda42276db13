"""Parse the setting `redis_url`: one server, a cluster by some of its nodes, or a primary by its sentinels."""

from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

EXPECTED = (
    "expected redis://host:port[/db], redis+cluster://host:port[,host:port...] or "
    "redis+sentinel://host:port[,host:port...]/service[/db], with TLS rediss instead of redis"
)
Kind = Literal["", "cluster", "sentinel"]
_PORTS = {"": 6379, "cluster": 6379, "sentinel": 26379}


@dataclass(frozen=True)
class RedisAddress:
    """The address of Redis: `hosts` are nodes or sentinels, `service` is the sentinels' name for the primary.

    `server` is a redis:// or rediss:// URL of the first host with user, db and query: options of all connections.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    service: str
    server: str


def parse_redis_url(url: str) -> RedisAddress:
    """Parse a `redis_url`; raises ValueError that says what was expected, and never shows a password."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in {"redis", "rediss"} or kind not in _PORTS or parts.scheme.endswith("+"):
        raise ValueError(EXPECTED)
    user, at, places = parts.netloc.rpartition("@")
    if ":" in user or "password" in parse_qs(parts.query):
        raise ValueError("the password belongs in the secret redis-password, not in the URL")
    hosts = tuple(_host(place, _PORTS[kind]) for place in (places.split(",") if kind else [places]))
    service, database = _path(kind, parts.path)
    host, port = hosts[0]
    netloc = f"{user}{at}[{host}]:{port}" if ":" in host else f"{user}{at}{host}:{port}"
    server = parts._replace(scheme=scheme, netloc=netloc, path=f"/{database}" if database else "").geturl()
    return RedisAddress(cast("Kind", kind), hosts, service, server)


def _host(place: str, default: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, 0
    if not host or port == 0:
        raise ValueError(f"{EXPECTED} (not a host with a port: {place!r})")
    return host, port or default


def _path(kind: str, path: str) -> tuple[str, str]:
    """Return the name of the service and the number of the database, '' for none."""
    service, database = "", path.strip("/")
    if kind == "sentinel":
        service, _, database = database.partition("/")
        if not service:
            raise ValueError(f"{EXPECTED} (the service's name is missing)")
    if database and not database.isdecimal():
        raise ValueError(f"{EXPECTED} (not the number of a database: {database!r})")
    if kind == "cluster" and database not in {"", "0"}:
        raise ValueError(f"a cluster has only the database 0, not {database}")
    return unquote(service), database
