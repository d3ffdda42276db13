"""Errors of Redis: whether one is transient, and its explanation for the operator."""

import re

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterError,
    MaxConnectionsError,
    MovedError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

# All errors that a call may raise; some of a cluster's client are no RedisError.
REDIS_ERRORS = (RedisError, RedisClusterException, OSError)

_CODES = {
    "OOM": "it is out of memory (maxmemory), and nothing was written: give it more",
    "LOADING": "it is still loading its data from disk",
    "READONLY": "it is a read-only replica: redis_url must lead to the primary",
    "MISCONF": "it refuses to write since it cannot save to its disk: see its log",
    "NOREPLICAS": "it refuses to write with so few replicas (min-replicas-to-write)",
    "CLUSTERDOWN": "the cluster is down: some of its slots have no node",
    "MASTERDOWN": "it is a replica without a link to its primary",
    "TRYAGAIN": "the cluster is moving these keys to another node",
    "BUSY": "a script of somebody else keeps it busy",
    "NOAUTH": "it demands a password: put it into the secret redis-password",
    "WRONGPASS": "it refuses the password in the secret redis-password, or the user in redis_url",
    "NOPERM": "its user may not run a command, or touch a key, that the pipeline needs (ACL)",
    "cluster support disabled": "it is no cluster: write redis:// in redis_url, not redis+cluster://",
}
_TRANSIENT = {"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"}
# A message begins with its code; for an error inside a script, Redis 6.2 puts words of its own before the code.
_CODE = re.compile(rf"(?:^|: -|\b(?=cluster))({'|'.join(_CODES)})\b")
_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, _CODES["WRONGPASS"]),
    (MovedError, "it is a node of a cluster: write redis+cluster:// in redis_url"),
    (ClusterError, _CODES["TRYAGAIN"]),
    (MasterNotFoundError, "no sentinel knows a primary that is up by the name in redis_url"),
    (MaxConnectionsError, "all connections to it are in use"),
    (RedisTimeoutError, "it does not answer in time"),
    (RedisConnectionError, "there is no connection to it: see redis_url and the network"),
    (RedisClusterException, _CODES["CLUSTERDOWN"]),
)


def code(error: BaseException) -> str:
    """Return the code with which Redis names the error, '' for an unknown one."""
    cause = _cause(error)
    status = getattr(cause, "status_code", None)
    if status in _CODES:
        return str(status)
    match = _CODE.search(str(cause)) if isinstance(cause, ResponseError) else None
    return match[1] if match else ""


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment without anybody's help."""
    cause, word = _cause(error), code(error)
    if word:
        return word in _TRANSIENT
    if isinstance(cause, AuthenticationError | AuthorizationError):
        return False
    return isinstance(cause, RedisConnectionError | RedisTimeoutError | ClusterError | RedisClusterException | OSError)


def explain(error: BaseException) -> str:
    """Return what is wrong, without anything that was sent to Redis or came from it."""
    cause = _cause(error)
    words = _CODES.get(code(error)) or next((text for kind, text in _CLASSES if isinstance(cause, kind)), "")
    return f"Redis cannot serve this now ({type(cause).__name__}){': ' if words else ''}{words}"


def kind(error: BaseException) -> str:
    """Return a short name of the error: its code, or its class."""
    return code(error).lower().replace(" ", "_") or type(_cause(error)).__name__


def _cause(error: BaseException) -> BaseException:
    """Return the reason why a cluster cannot be reached, which its client hides behind an error of its own."""
    while isinstance(error, RedisClusterException) and (cause := error.__cause__ or error.__context__):
        error = cause
    return error
