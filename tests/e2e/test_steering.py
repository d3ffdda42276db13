"""Batches that are paused, tuned, redriven and deleted, share the queue, and outlive keys and Redis."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.rigs.openfaas.cluster import SHORT_SILENCE, Cluster, cluster, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(running: Cluster, mode: str, batch: str, **query: str) -> None:
    status, document = await running.call(mode, query={"batch": batch, **query})
    assert status in {200, 202}, document


async def until_settled(running: Cluster, batch: str, count: int) -> None:
    async def settled() -> bool:
        return bool((await running.status(batch))["succeeded"] >= count)

    await wait_until(settled)


async def test_paused_batch_stands_still_until_it_is_resumed(steady: Cluster) -> None:
    rows = [f"slow 0.05 {number}" for number in range(200)]
    batch = (await steady.submit_rows(rows, window="4"))["batch_id"]
    await until_settled(steady, batch, 10)
    await ask(steady, "pause", batch)

    async def nothing_in_flight() -> bool:
        return bool((await steady.status(batch))["in_flight"] == 0)

    await wait_until(nothing_in_flight)
    paused = await steady.status(batch)
    assert (paused["state"], paused["succeeded"]) == ("paused", paused["released"])
    assert steady.stack.gateway.queue_depth("pipeline") == 0
    await ask(steady, "tune", batch, window="64")
    await ask(steady, "resume", batch)
    final = await steady.ended(batch)
    assert (final["state"], final["succeeded"], final["window"]) == ("done", 200, 64)


async def test_small_batch_does_not_wait_for_the_end_of_a_large_one(steady: Cluster) -> None:
    large = [f"slow 0.05 large {number}" for number in range(2000)]
    small = [f"slow 0.05 small {number}" for number in range(20)]
    first = (await steady.submit_rows(large, window="32"))["batch_id"]
    await until_settled(steady, first, 50)
    second = (await steady.submit_rows(small, window="32"))["batch_id"]
    assert (await steady.ended(second))["succeeded"] == 20
    behind = await steady.status(first)
    assert behind["state"] == "running"
    assert behind["succeeded"] < 1000
    await ask(steady, "cancel", first)
    await steady.ended(first)


async def test_rate_spaces_the_calls(steady: Cluster) -> None:
    status, summary = await steady.run(urls(30), rate="20")
    assert (status["state"], status["rate_limit"], summary["results"]["count"]) == ("done", 20.0, 30)
    # Thirty calls at twenty a second, evenly spaced: no machine can finish sooner.
    assert status["completed"] - status["started"] >= 29 / 20


async def test_failed_items_are_redriven_and_the_batch_deleted(steady: Cluster) -> None:
    rows = [*urls(40), "fail 422 never", "fail 422 again"]
    status, before = await steady.run(rows, chunk="10")
    batch = status["batch_id"]
    assert before["failures"]["count"] == 2
    calls = len(steady.calls())
    await ask(steady, "redrive", batch)
    again = await steady.ended(batch)
    assert (again["generation"], again["succeeded"], again["failed"]) == (1, 40, 2)
    assert sorted(item for _, item, _ in steady.calls()[calls:]) == sorted(rows[40:])
    after = await steady.summary(batch)
    assert [entry["url"] for entry in after["results"]["results"]] == rows[:40]
    await ask(steady, "delete", batch)
    assert await steady.keys(batch) == []
    assert (await steady.call("status", query={"batch": batch}))[0] == 404


async def test_key_is_rotated_during_a_batch(tmp_path: Path) -> None:
    """Messages with the old key still count, new ones carry the new key, and the batch never stops."""
    async with cluster(tmp_path, workers=4, redelivery=1.0, replicas=2, **SHORT_SILENCE) as running:
        rows = [f"slow 0.05 {number}" for number in range(120)]
        batch = (await running.submit_rows(rows, window="8"))["batch_id"]
        await until_settled(running, batch, 20)
        secret = running.stack.secrets_dir / "pipeline-key"
        secret.write_text(f"{'n' * 32}\n{secret.read_text()}")
        before = running.stack.restarts("pipeline")
        for pid in running.stack.pids("pipeline"):
            os.kill(pid, signal.SIGTERM)
        await wait_until(lambda: running.stack.restarts("pipeline") >= before + 2)
        await running.replicas_live()
        final = await running.ended(batch)
        assert (final["state"], final["succeeded"]) == ("done", 120)
        assert [entry["url"] for entry in (await running.summary(batch))["results"]["results"]] == rows


async def test_batch_survives_the_loss_of_redis(tmp_path: Path) -> None:
    async with cluster(tmp_path, workers=4, redelivery=1.0, replicas=2, **SHORT_SILENCE) as running:
        rows = [f"slow 0.01 {number}" for number in range(1500)]
        batch = (await running.submit_rows(rows, chunk="5", window="8"))["batch_id"]
        await until_settled(running, batch, 1200)
        running.stack.redis_service.kill()
        await running.stack.redis_service.restart()

        async def found() -> bool:
            async with running.http.get(running.url, params={"batch": batch}) as response:
                return response.status == 200

        await wait_until(found)
        final = await running.ended(batch)
        assert (final["state"], final["succeeded"]) == ("done", 1500)
        assert [entry["url"] for entry in (await running.summary(batch))["results"]["results"]] == rows
        calls = Counter(item for _, item, _ in running.calls())
        # The first thousand outcomes were in a segment: later ones run again, and so do tasks in flight.
        assert sum(calls.values()) - len(rows) <= 500 + 8 * 5
        assert await running.keys_without_ttl() == []
