"""The connection to Redis: one server, a cluster, or a primary with sentinels."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import cached_property, partial
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import AuthenticationError, NoScriptError
from redis.exceptions import ConnectionError as RedisConnectionError

from pipeline.errors import UnavailableError
from pipeline.ledger.redis.errors import REDIS_ERRORS, code, explain
from pipeline.ledger.redis.pipelining import Bundles
from pipeline.ledger.redis.retry import is_ping, patiently
from pipeline.metrics import Metrics
from pipeline.settings.redis_url import RedisAddress, parse_redis_url

MINIMUM_VERSION = (6, 2)
MAX_CONNECTIONS = 64
POOL_TIMEOUT = 5.0
SENTINEL_REFUSES = (
    "Redis cannot serve this now: a sentinel demands a password that is not the one in the secret redis-password"
)
_TIMEOUTS: Mapping[str, float] = {"socket_timeout": 10, "socket_connect_timeout": 5, "health_check_interval": 30}


class PatientScript(AsyncScript):
    """A script that is loaded again when Redis restarts or fails over between the load and the call."""

    async def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        """Run the script; raises what redis-py raises."""
        call = partial(super().__call__, keys, args, client)
        try:
            return await call()
        except NoScriptError:
            return await Retry(NoBackoff(), 2, (NoScriptError,)).call_with_retry(call, _do_nothing)


class PatientRedis(Redis):
    """One server, or the primary that sentinels name. Each attempt of a call chooses a connection anew."""

    metrics: Metrics

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command, for up to PATIENCE seconds; raises what redis-py raises."""
        is_script = args[0] == "EVALSHA"
        call = partial(self._bundles.run, args) if is_script else partial(super().execute_command, *args, **options)
        return await (call() if is_ping(args) else patiently(call, self._leave_replica, self.metrics))

    @cached_property
    def _bundles(self) -> Bundles:
        return Bundles(self.connection_pool)

    def register_script(self, script: Any) -> Any:
        """Return the script, to be called with keys and arguments."""
        return PatientScript(self, super().register_script(script).script)

    async def _leave_replica(self, error: Exception) -> None:
        """Drop the connections in the pool when the primary became a replica: new ones lead to the new primary."""
        if code(error) == "READONLY":
            await self.connection_pool.disconnect(inuse_connections=False)


class PatientCluster(RedisCluster):
    """A cluster. redis-py follows MOVED and ASK; its own attempts have no pauses, so a restart would outlast them."""

    metrics: Metrics

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command, for up to PATIENCE seconds; raises what redis-py raises."""
        call = partial(self._execute_with_slots, *args, **options)
        return await (call() if is_ping(args) else patiently(call, self._remember_startup, self.metrics))

    def register_script(self, script: Any) -> Any:
        """Return the script, to be called with keys and arguments."""
        return PatientScript(self, super().register_script(script).script)

    async def _execute_with_slots(self, *args: Any, **options: Any) -> Any:
        """Run a command once the slots of the nodes are known: else redis-py sends a script to any node."""
        await self.initialize()
        try:
            return await super().execute_command(*args, **options)
        except AttributeError as error:
            # When the cluster is down, redis-py closes all connections, also one that this call was about to use.
            raise RedisConnectionError("closed by another call") from error

    async def _remember_startup(self, _error: Exception) -> None:
        """Add the nodes in redis_url: when all nodes have new addresses, only these names lead to them."""
        for node in self.startup_nodes:
            self.nodes_manager.startup_nodes.setdefault(node.name, node)

    async def close_all(self) -> None:
        """Close every connection: `aclose` leaves some open when the known slots are out of date."""
        await self.aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")


class _Sentinels(Sentinel):
    """The sentinels of redis_url; all of them stay known."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Ask one sentinel after the other; raises what redis-py raises."""
        known = tuple(self.sentinels)
        try:
            return cast("tuple[str, int]", await super().discover_master(service_name))
        finally:
            # redis-py moves the one that answers to the front; two calls at once may duplicate it and lose another.
            self.sentinels[:] = dict.fromkeys((*self.sentinels, *known))


class _PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary that the sentinels name; a call waits while none is free."""


async def _do_nothing(_error: Exception) -> None:
    """Prepare nothing before the next attempt."""


@asynccontextmanager
async def open_redis(url: str, password: str | None, metrics: Metrics | None = None) -> AsyncIterator[Redis]:
    """Open a pool of connections that lives as long as the context; nothing is sent yet.

    A cluster's client has the same methods, but no transactions.
    """
    async with _open(url, password) as client:
        client.metrics = metrics or Metrics()
        yield cast("Redis", client)


@asynccontextmanager
async def _open(url: str, password: str | None) -> AsyncIterator[PatientRedis | PatientCluster]:
    address = parse_redis_url(url)
    # No attempts of redis-py inside those of `patiently`: they would multiply.
    once: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "password": password}
    options = {**_TIMEOUTS, **parse_url(address.server), **once}
    async with AsyncExitStack() as cleanup:
        if address.kind == "cluster":
            cluster = _cluster(address, options)
            cleanup.push_async_callback(cluster.close_all)
            yield cluster
        elif address.kind == "sentinel":
            sentinel = await cleanup.enter_async_context(aclosing(_sentinel(address, options, password)))
            yield await cleanup.enter_async_context(aclosing(_primary(sentinel, address.service, options)))
        else:
            pool = BlockingConnectionPool(max_connections=MAX_CONNECTIONS, timeout=POOL_TIMEOUT, **options)
            yield await cleanup.enter_async_context(aclosing(cast("PatientRedis", PatientRedis.from_pool(pool))))


def _cluster(address: RedisAddress, options: Mapping[str, Any]) -> PatientCluster:
    others = {name: value for name, value in options.items() if name not in {"host", "port", "connection_class"}}
    cluster = PatientCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        max_connections=MAX_CONNECTIONS,
        ssl=_has_tls(options),
        **others,
    )
    # For a ping, one node that answers is enough.
    cluster.command_flags["PING"] = cluster.DEFAULT_NODE
    return cluster


def _sentinel(address: RedisAddress, options: Mapping[str, Any], password: str | None) -> Sentinel:
    """Return the sentinels: they share TLS with the servers, and get the password, without a user, on demand."""

    async def on_connect(connection: Connection) -> None:
        try:
            await connection.on_connect()
        except AuthenticationError:
            await connection.disconnect()
            if connection.password or not password:
                raise UnavailableError(SENTINEL_REFUSES) from None
            connection.password = password
            raise RedisConnectionError("try again with the password") from None

    shared = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl_"))}
    retry = Retry(NoBackoff(), 1)
    own = {**shared, "ssl": _has_tls(options), "retry": retry, "redis_connect_func": on_connect}
    return _Sentinels(address.hosts, sentinel_kwargs=own)  # type: ignore[no-untyped-call]


def _primary(sentinel: Sentinel, service: str, options: Mapping[str, Any]) -> PatientRedis:
    others = {name: value for name, value in options.items() if name not in {"host", "port", "connection_class"}}
    limits = {"max_connections": MAX_CONNECTIONS, "timeout": POOL_TIMEOUT, "ssl": _has_tls(options)}
    primary = sentinel.master_for(service, PatientRedis, _PrimaryPool, **limits, **others)
    return cast("PatientRedis", primary)


def _has_tls(options: Mapping[str, Any]) -> bool:
    return options.get("connection_class") is SSLConnection


async def check_server(redis: Redis) -> None:
    """Raise UnavailableError when Redis is too old, or may evict keys: a batch is lost with its ledger.

    In a cluster, every primary is checked.
    """
    with unavailable():
        answers = await server_infos(redis)
    for info in answers:
        check_policy(info)
        check_version(info)


async def server_infos(redis: Redis) -> list[Mapping[str, Any]]:
    """Return the INFO of the server, or of each primary of a cluster; raises what redis-py raises."""
    if not isinstance(redis, RedisCluster):
        return [await redis.info("everything")]
    await redis.initialize()
    return [await redis.info("everything", target_nodes=node) for node in redis.get_primaries()]


def check_policy(info: Mapping[str, Any]) -> None:
    """Raise UnavailableError when a server may evict keys."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise UnavailableError(f"Redis evicts keys (maxmemory-policy {policy}): set it to noeviction")


def check_version(info: Mapping[str, Any]) -> None:
    """Raise UnavailableError when a server is too old."""
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
        raise UnavailableError(f"Redis {version} is too old: 6.2 or newer is needed")


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn an error of Redis, or of the connection to it, into UnavailableError, a 503."""
    try:
        yield
    except REDIS_ERRORS as error:
        raise UnavailableError(explain(error)) from error
