"""What an error of Redis means: whether it passes by itself, and what to tell the operator."""

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

# All that a call may raise; the client of a cluster has errors that are no RedisError.
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
_PASSING = {"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"}
# A code begins the message; Redis 6.2 puts that of an error inside a script behind words of its own.
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
    """Return the word with which Redis names the error, '' for none that is known here."""
    cause = _cause(error)
    status = getattr(cause, "status_code", None)
    if status in _CODES:
        return str(status)
    found = _CODE.search(str(cause)) if isinstance(cause, ResponseError) else None
    return found[1] if found else ""


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed in a moment, with nobody doing anything."""
    cause, word = _cause(error), code(error)
    if word:
        return word in _PASSING
    if isinstance(cause, AuthenticationError | AuthorizationError):
        return False
    return isinstance(cause, RedisConnectionError | RedisTimeoutError | ClusterError | RedisClusterException | OSError)


def explain(error: BaseException) -> str:
    """Say what is wrong, in words that hold nothing of what was sent to Redis or came from it."""
    cause = _cause(error)
    words = _CODES.get(code(error)) or next((text for kind, text in _CLASSES if isinstance(cause, kind)), "")
    return f"Redis cannot serve this now ({type(cause).__name__}){': ' if words else ''}{words}"


def kind(error: BaseException) -> str:
    """Name the error in a word: Redis' own for it, or that of its class."""
    return code(error).lower().replace(" ", "_") or type(_cause(error)).__name__


def _cause(error: BaseException) -> BaseException:
    """A cluster that cannot be reached hides why."""
    while isinstance(error, RedisClusterException) and (cause := error.__cause__ or error.__context__):
        error = cause
    return error
