"""A Redis that is full, evicts keys or is unreachable."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.replies import Settled
from pipeline.local.services.ports import free_port
from pipeline.local.services.redis_and_s3 import redis_server
from tests.rigs.redis.ledger_bench import Bench

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def own_redis() -> AsyncIterator[Redis]:
    """A Redis whose settings only these tests change."""
    async with redis_server() as server, Redis.from_url(server.url, password=server.password) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def own(own_redis: Redis, name: str) -> AsyncIterator[Bench]:
    """One batch in that Redis."""
    yield Bench(Ledger(own_redis, name), own_redis, name, "batch")
    await own_redis.config_set("maxmemory", "0")
    await own_redis.config_set("maxmemory-policy", "noeviction")


async def fill(redis: Redis) -> None:
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", str(used - 1))


async def test_settle_without_memory_changes_nothing_and_succeeds_later(own: Bench) -> None:
    await own.open(5, window=2)
    before = await own.dump()
    await fill(own.redis)
    with pytest.raises(UnavailableError, match="Redis cannot serve this now"):
        await own.settle(0)
    await own.redis.config_set("maxmemory", "0")
    assert await own.dump() == before
    assert (await own.settle(0)).release == (2,)


async def test_settle_at_the_memory_limit_writes_all_or_nothing(own: Bench) -> None:
    await own.open(40, window=2)
    settled, refused = [], []
    used = (await own.redis.info("memory"))["used_memory"]
    await own.redis.config_set("maxmemory", str(used + 200_000))
    for task in range(40):
        before = await own.dump()
        try:
            settled.append(await own.settle(task, answer=b"x" * 20_000))
        except UnavailableError:
            refused.append(task)
            assert await own.dump() == before
    assert settled
    assert refused
    state = await own.ledger.state(own.name)
    assert state is not None
    assert (state.number("succeeded"), state.remaining) == (len(settled), 40 - len(settled))
    assert sum(map(_released, settled)) == state.number("next") - 2


def _released(settled: Settled) -> int:
    return len(settled.release)


async def test_check_server_refuses_a_redis_that_may_evict_keys(own: Bench) -> None:
    await own.ledger.check_server()
    await own.redis.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(UnavailableError, match=re.escape("maxmemory-policy allkeys-lru): set it to noeviction")):
        await own.ledger.check_server()


async def test_ping_of_an_unreachable_redis_does_not_name_its_password() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    async with Ledger.connect(url, "the password", "prefix") as ledger:
        with pytest.raises(UnavailableError, match=r"^Redis cannot serve this now \(ConnectionError\): there is no"):
            await ledger.ping()


async def test_wrong_password_is_an_error_that_does_not_repeat_it(bench: Bench) -> None:
    arguments = bench.redis.connection_pool.connection_kwargs
    url = f"redis://{arguments['host']}:{arguments['port']}/0"
    async with Ledger.connect(url, "a wrong password", "prefix") as ledger:
        with pytest.raises(UnavailableError) as caught:
            await ledger.phase("batch")
    assert "a wrong password" not in str(caught.value)
    assert "AuthenticationError" in str(caught.value)
