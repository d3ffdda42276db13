"""doctor: faults of a Redis."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.ledger.ledger import Ledger
from pipeline.ledger.redis.errors import explain
from pipeline.local.services.ports import free_port
from pipeline.local.services.redis_and_s3 import RedisServer, redis_server
from pipeline.units import MIB
from tests.rigs.function.doctor import KNOWN, Doctor, bad


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_server() -> AsyncIterator[RedisServer]:
    async with redis_server() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_redis(own_server: RedisServer) -> AsyncIterator[Redis]:
    """A Redis whose settings only these tests change."""
    async with Redis.from_url(own_server.url, password=own_server.password) as client:
        yield client


@pytest.fixture
def own(doctor: Doctor, own_redis: Redis, name: str) -> Doctor:
    """The doctor of a function in that Redis."""
    doctor.connect(ledger=Ledger(own_redis, name))
    return doctor


@asynccontextmanager
async def configured(redis: Redis, **settings: str) -> AsyncIterator[None]:
    """Change settings of a Redis for a while."""
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    before: dict[Any, Any] = {}
    for name in named:
        before |= await redis.config_get(name)
    for name, value in named.items():
        await redis.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            await redis.config_set(name, value)


async def test_healthy_redis_is_described(own: Doctor) -> None:
    checks = await own.examine()
    assert bad(checks) == KNOWN
    assert checks["redis: version"].found.startswith("Valkey ")
    assert checks["redis: role"].found == "primary"
    assert checks["redis: scripts"].found == "run"
    assert checks["redis: memory"].found.endswith("MiB in use, no maxmemory")
    assert checks["redis: round trip"].found.endswith(" ms")


async def test_eviction_policy_fails(own: Doctor, own_redis: Redis) -> None:
    async with configured(own_redis, maxmemory_policy="allkeys-lru"):
        checks = await own.examine()
    assert bad(checks) == KNOWN | {"redis: eviction policy": "failed"}
    assert checks["redis: eviction policy"].found == (
        "Redis evicts keys (maxmemory-policy allkeys-lru): set it to noeviction"
    )


async def test_nearly_full_memory_is_a_warning(own: Doctor, own_redis: Redis) -> None:
    # Much more than the server itself takes, so that the test determines the share in use.
    await own_redis.setrange("ballast", 16 * MIB, "x")
    used = (await own_redis.info("memory"))["used_memory"]
    async with configured(own_redis, maxmemory=str(int(used / 0.9))):
        checks = await own.examine()
    async with configured(own_redis, maxmemory=str(int(used / 0.5))):
        assert bad(await own.examine()) == KNOWN
    await own_redis.delete("ballast")
    assert bad(checks) == KNOWN | {"redis: memory": "warning"}


async def test_full_redis_fails_to_write(own: Doctor, own_redis: Redis) -> None:
    async with configured(own_redis, maxmemory="1"):
        checks = await own.examine()
    found = bad(checks)
    assert {name: found[name] for name in ("redis: memory", "redis: writing", "queue")} == {
        "redis: memory": "warning",
        "redis: writing": "failed",
        "queue": "failed",
    }
    assert "out of memory (maxmemory)" in checks["redis: writing"].found


@pytest.mark.parametrize(
    ("settings", "found"),
    [({"save": "3600 1"}, "snapshots (save): a restart loses"), ({"appendonly": "yes"}, "appendonly")],
)
async def test_persistence_is_described(own: Doctor, own_redis: Redis, settings: Mapping[str, str], found: str) -> None:
    async with configured(own_redis, **settings):
        check = (await own.examine())["redis: persistence"]
    assert (check.status, check.found[: len(found)]) == ("ok", found)


async def test_replica_fails_without_waiting(own: Doctor, own_redis: Redis) -> None:
    await own_redis.replicaof("127.0.0.1", free_port())
    try:
        checks = await own.examine()
    finally:
        await own_redis.replicaof("NO", "ONE")
    check = checks["redis: role"]
    assert (check.status, check.found) == ("failed", "a replica")
    assert "redis_url must lead to the primary" in check.advice
    assert "redis: writing" not in checks


@pytest.mark.parametrize(
    ("rights", "name", "status"),
    [
        ("-config", "redis: persistence", "warning"),
        ("-evalsha", "redis: scripts", "failed"),
        ("-set", "redis: writing", "failed"),
        ("-info", "redis", "failed"),
    ],
)
async def test_missing_permission_of_the_user_is_named(
    own: Doctor, own_server: RedisServer, own_redis: Redis, rights: str, name: str, status: str
) -> None:
    await own_redis.acl_setuser("limited", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", rights])
    url = own_server.url.replace("redis://", "redis://limited@")
    async with Redis.from_url(url, password="secret") as limited:
        own.connect(ledger=Ledger(limited, own.pipeline.name))
        checks = await own.examine()
    assert checks[name].status == status
    if name == "redis: persistence":
        assert checks[name].found == "no appendonly, and what it saves its user may not read"
    else:
        assert "its user may not run a command" in checks[name].found


async def test_unreachable_redis_fails_and_the_other_checks_run(doctor: Doctor) -> None:
    async with Ledger.connect(f"redis://127.0.0.1:{free_port()}", None, doctor.pipeline.name) as ledger:
        doctor.connect(ledger=ledger)
        checks = await doctor.examine()
    away = dict.fromkeys(("redis", "queue", "clock: redis", "batches"), "failed")
    assert bad(checks) == {"secret: pipeline-token": "warning"} | away
    assert checks["redis"].found == explain(ConnectionRefusedError()).replace(
        "(ConnectionRefusedError)", "(ConnectionError): there is no connection to it: see redis_url and the network"
    )
