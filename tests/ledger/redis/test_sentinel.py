"""The ledger on a primary with sentinels: it fails over while a batch runs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.redis.client import open_redis
from pipeline.local.services.ports import HOST, free_port
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.batch_halves import OpenLedger, begin, end, on_ledger, open_ledger
from tests.rigs.redis.nodes import PASSWORD, SERVICE, Watched, watched_primary
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

EITHER_WAY = pytest.mark.parametrize("watched", [None, PASSWORD], ids=["open", "with a password"], indirect=True)


@pytest_asyncio.fixture(loop_scope="session")
async def watched(request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    """Sentinels without a password, or with the one of the parameter."""
    async with watched_primary(sentinel_password=getattr(request, "param", None)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def opened(watched: Watched, name: str) -> AsyncIterator[OpenLedger]:
    async with open_ledger(watched.url, name) as opened:
        yield opened


@EITHER_WAY
async def test_open_batches_run_through_a_failover(opened: OpenLedger, watched: Watched) -> None:
    for number in range(3):
        await begin(opened.bench(number))
    await watched.lose_the_primary()
    await asyncio.gather(*(end(opened.bench(number)) for number in range(3)))
    assert await watched.replica.is_primary()


async def test_whole_batch_runs_through_a_failover(
    pipeline: PipelineBench, opened: OpenLedger, watched: Watched
) -> None:
    bench = on_ledger(pipeline, opened)
    bench.serve(answering(lambda text: (200, text.upper())))
    rows = [f"row {number}" for number in range(12)]
    await bench.submit_rows(*rows)
    for _ in range(5):
        await bench.deliver(bench.queue.pop(0))
    await watched.lose_the_primary()
    await bench.deliver_all()
    assert [entry["url"] for entry in (await bench.summary())["results"]["results"]] == rows
    assert (await bench.status())["state"] == "done"


async def test_connection_to_a_demoted_primary_is_left(opened: OpenLedger, watched: Watched) -> None:
    await begin(opened.bench(0))
    await wait_until(lambda: watched.replica.is_level_with(watched.primary))
    await watched.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
    await wait_until(watched.replica.is_primary)
    await wait_until(watched.primary.follows)
    await end(opened.bench(0))
    async with watched.replica.client() as client:
        assert await client.hget(opened.bench(0).key(), "state") == "done"


async def test_one_reachable_sentinel_of_the_url_is_enough(watched: Watched, name: str) -> None:
    url = f"redis+sentinel://{HOST}:{free_port()},{watched.sentinels[1].address}/{SERVICE}/0"
    async with open_ledger(url, name) as opened:
        await opened.ledger.check_server()
        await begin(opened.bench(0))


async def test_concurrent_calls_do_not_lose_a_sentinel(watched: Watched, name: str) -> None:
    addresses = [f"{HOST}:{free_port()}", *(node.address for node in watched.sentinels)]
    async with open_redis(f"redis+sentinel://{','.join(addresses)}/{SERVICE}/0", PASSWORD) as redis:
        await asyncio.gather(*(redis.get(name) for _ in range(20)))
        pool: Any = redis.connection_pool
        kept = [client.connection_pool.connection_kwargs for client in pool.sentinel_manager.sentinels]
    assert sorted(f"{where['host']}:{where['port']}" for where in kept) == sorted(addresses)


async def test_service_name_unknown_to_the_sentinels_is_an_error(watched: Watched) -> None:
    url = watched.url.replace(SERVICE, "other")
    async with Ledger.connect(url, PASSWORD, "prefix") as ledger:
        with pytest.raises(UnavailableError, match="no sentinel knows a primary that is up by the name in redis_url"):
            await ledger.ping()


@EITHER_WAY
async def test_wrong_password_of_a_sentinel_is_an_error_at_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 1e9)
    by_sentinel = watched.sentinels[0].password is not None
    for password, words in ((None, "it demands a password"), ("wrong", "it refuses the password")):
        async with Ledger.connect(watched.url, password, "prefix") as ledger:
            with pytest.raises(UnavailableError) as caught:
                await ledger.phase("batch")
        wanted = "a sentinel demands a password that is not the one in" if by_sentinel else words
        assert wanted in str(caught.value)
        assert "wrong" not in str(caught.value)
