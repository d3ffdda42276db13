"""The connection to Redis: a pool, what its errors mean, and what is asked of the server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.errors import UnavailableError

MINIMUM_VERSION = (6, 2)


@asynccontextmanager
async def open_redis(url: str, password: str | None) -> AsyncIterator[Redis]:
    """Open a pool of connections that lives as long as the context; nothing is sent yet."""
    pool = BlockingConnectionPool.from_url(
        url,
        password=password,
        max_connections=64,
        timeout=5,
        socket_timeout=10,
        socket_connect_timeout=5,
        health_check_interval=30,
        retry=Retry(FullJitterBackoff(cap=1, base=0.05), 5),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )
    redis = Redis(connection_pool=pool)
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.aclose()


async def check_server(redis: Redis) -> None:
    """Raise UnavailableError when this Redis is too old, or may evict keys: a ledger it forgets is a batch lost."""
    with unavailable():
        info = await redis.info("everything")
    policy = info.get("maxmemory_policy", "noeviction")
    version = str(info.get("redis_version", "0"))
    if policy != "noeviction":
        raise UnavailableError(f"Redis evicts keys (maxmemory-policy {policy}): set it to noeviction")
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
        raise UnavailableError(f"Redis {version} is too old: 6.2 or newer is needed")


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn an error of Redis, or of the way to it, into one that is answered with 503."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise UnavailableError(f"Redis cannot serve this now ({type(error).__name__})") from error
