"""A million rows, and a hundred thousand results: memory and the queue stay bounded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import psutil
import pytest
import pytest_asyncio

from pipeline.local.openfaas.message_queue import Message
from tests.rigs.openfaas.cluster import Cluster, cluster, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MEGABYTE = 1_000_000


class Peak:
    """The peak resident memory of the function process in bytes, sampled while the block runs."""

    def __init__(self, pid: int) -> None:
        self.rss = 0
        self._process = psutil.Process(pid)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            self.rss = max(self.rss, self._process.memory_info().rss)
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture(loop_scope="session")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster for one test, so that its memory is not shared."""
    async with cluster(tmp_path_factory.mktemp("alone"), workers=4) as running:
        yield running


@pytest.mark.attack
async def test_million_rows_are_accepted_at_once_and_never_flood_the_queue(alone: Cluster) -> None:
    deepest = 0
    window = 100

    def measure(_message: Message) -> list[float]:
        nonlocal deepest
        deepest = max(deepest, alone.stack.gateway.queue_depth("pipeline") + 1)
        return [0.0]

    alone.stack.gateway.messages_hook = measure
    rows = "\n".join(f"{url}?{'x' * 50}" for url in urls(1_000_000))
    await alone.put("data/million.csv", f"url\n{rows}\n".encode())
    async with Peak(alone.stack.pids("pipeline")[0]) as peak:
        body = b'{"input": "data/million.csv", "window": %d}' % window
        status, opened = await alone.call("batch", body=body, X_Batch_Id="million")
        assert (status, opened["state"]) == (202, "opening")

        async def running() -> bool:
            return bool((await alone.status("million"))["succeeded"] > 500)

        await wait_until(running)
    state = await alone.status("million")
    assert (state["state"], state["items"], state["tasks"]) == ("running", 1_000_000, 1_000_000)
    assert peak.rss < 700 * MEGABYTE
    assert window // 2 < deepest <= window + 4


@pytest.mark.attack
async def test_hundred_thousand_results_are_reduced_in_bounded_memory(alone: Cluster) -> None:
    rows = [f"big 198 {number}" for number in range(100_000)]
    async with Peak(alone.stack.pids("pipeline")[0]) as peak:
        status, summary = await alone.run(rows, chunk="1000", chunk_call="true")
    assert (status["state"], status["succeeded"]) == ("done", 100_000)
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
    assert peak.rss < 500 * MEGABYTE
