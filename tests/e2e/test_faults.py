"""Lost, duplicated and delayed messages and callbacks change neither counts nor results."""

import random
from collections.abc import Sequence

import pytest

from pipeline.local.openfaas.message_queue import Callback, Message
from tests.rigs.openfaas.cluster import Cluster, to_csv, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _outcomes(summary: dict[str, dict[str, Sequence[dict[str, object]]]]) -> list[tuple[object, ...]]:
    both = [*summary["results"]["results"], *summary["failures"]["results"]]
    return [(entry["url"], entry["statusCode"], str(entry["result"])) for entry in both]


async def test_three_copies_of_every_callback_in_any_order_change_nothing(steady: Cluster) -> None:
    rows = [*urls(120), "fail 400 bad", "fail 404 none"]
    plain_status, plain = await steady.run(rows)
    rng = random.Random(7)
    steady.stack.gateway.callbacks_hook = lambda _: [0.0, rng.uniform(0, 0.4), rng.uniform(0, 0.4)]
    status, summary = await steady.run(rows)
    assert _outcomes(summary) == _outcomes(plain)
    counted = ("state", "items", "succeeded", "failed", "tasks", "settled", "generation")
    assert {name: status[name] for name in counted} == {name: plain_status[name] for name in counted}


async def test_lost_callbacks_are_found_and_their_tasks_run_again(shaky: Cluster) -> None:
    rng = random.Random(11)
    shaky.stack.gateway.callbacks_hook = lambda _: [] if rng.random() < 0.2 else [0.0]
    rows = urls(60)
    status, summary = await shaky.run(rows)
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
    assert status["retried"] > 0


async def test_emptied_queue_is_filled_again(shaky: Cluster) -> None:
    rows = [f"slow 0.2 {number}" for number in range(40)]
    opened = await shaky.submit_rows(rows)
    await wait_until(lambda: shaky.stack.gateway.queue_depth("pipeline") > 10)
    shaky.stack.gateway.wipe_queue()
    status = await shaky.ended(opened["batch_id"])
    assert (status["state"], status["succeeded"]) == ("done", 40)


async def test_refused_releases_are_made_later(shaky: Cluster) -> None:
    shaky.stack.gateway.queue_down = True
    opened = await shaky.submit_rows(urls(20))
    assert (await shaky.status(opened["batch_id"]))["succeeded"] == 0
    shaky.stack.gateway.queue_down = False
    assert (await shaky.ended(opened["batch_id"]))["succeeded"] == 20


async def test_replica_killed_during_a_batch_loses_nothing(shaky: Cluster) -> None:
    rows = [f"slow 0.1 {number}" for number in range(100)]
    opened = await shaky.submit_rows(rows)

    async def in_the_middle() -> bool:
        return bool((await shaky.status(opened["batch_id"]))["succeeded"] > 20)

    await wait_until(in_the_middle)
    await shaky.stack.kill_replica("pipeline", 0)
    status = await shaky.ended(opened["batch_id"])
    assert (status["state"], status["succeeded"]) == ("done", 100)
    summary = await shaky.summary(opened["batch_id"])
    assert [entry["url"] for entry in summary["results"]["results"]] == rows


async def test_replicas_killed_right_after_a_settle_lose_nothing(shaky: Cluster) -> None:
    """The release after a settle is never sent: both replicas die while they enqueue it."""
    window = 8
    seen = 0

    def die_with_the_release(message: Message) -> list[float]:
        nonlocal seen
        seen += message.headers.get("X-Mode") == "task"
        if seen != window + 5:
            return [0.0]
        for replica in shaky.stack.gateway.functions["pipeline"].replicas:
            replica.kill()
        return []

    shaky.stack.gateway.messages_hook = die_with_the_release
    rows = urls(50)
    before = shaky.stack.restarts("pipeline")
    # The replica that handles the submission may die before its answer.
    async with shaky.http.post(
        shaky.url,
        data=to_csv(rows),
        params={"window": str(window)},
        headers={"X-Mode": "batch", "Content-Type": "text/csv", "X-Batch-Id": "killed-collector"},
    ) as response:
        assert response.status in {201, 502}
    await wait_until(lambda: shaky.stack.restarts("pipeline") >= before + 2)
    await shaky.replicas_live()
    status = await shaky.ended("killed-collector")
    assert (status["state"], status["succeeded"]) == ("done", 50)
    summary = await shaky.summary("killed-collector")
    assert [entry["url"] for entry in summary["results"]["results"]] == rows


async def test_lost_message_of_a_reduce_is_queued_again(shaky: Cluster) -> None:
    lost: list[str] = []

    def lose_the_first_reduce(message: Message) -> list[float]:
        if message.headers.get("X-Mode") != "reduce" or lost:
            return [0.0]
        lost.append(message.path)
        return []

    shaky.stack.gateway.messages_hook = lose_the_first_reduce
    opened = await shaky.submit_rows(urls(5))
    await wait_until(lambda: lost)
    ledger = f"pipeline:{{{opened['batch_id']}}}"
    # The duty is due again half a minute later: make it due now.
    await shaky.redis.zadd(f"{ledger}:due", {"r": 0})
    assert (await shaky.ended(opened["batch_id"]))["state"] == "done"


async def test_task_without_an_answer_is_retried_and_then_its_items_run_alone(shaky: Cluster) -> None:
    """Every answer of the first task is truncated, so its digest is wrong; its items then succeed one by one."""
    cut: list[str] = []

    def cut_short(callback: Callback) -> list[float]:
        if "generation=0" in callback.path and "task=0&" in callback.path and callback.body:
            object.__setattr__(callback, "body", callback.body[:-1])
            cut.append(callback.path)
        return [0.0]

    shaky.stack.gateway.callbacks_hook = cut_short
    rows = urls(12)
    status, summary = await shaky.run(rows, chunk="4", attempts="2")
    assert len(cut) == 2
    assert (status["state"], status["generation"], status["succeeded"]) == ("done", 1, 12)
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
