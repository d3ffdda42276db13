"""The main job: every row once, in order, for any chunk size."""

import pytest

from tests.rigs.openfaas.cluster import Cluster, to_csv, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("count", "chunk", "tasks"), [(500, "1", 500), (100, "7", 15), (900, "auto", 113)])
async def test_summary_has_every_row_once_in_order(steady: Cluster, count: int, chunk: str, tasks: int) -> None:
    rows = urls(count)
    status, summary = await steady.run(rows, chunk=chunk)
    assert (status["state"], status["tasks"], status["succeeded"], status["failed"]) == ("done", tasks, count, 0)
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
    assert summary["results"]["count"] == count
    assert summary["failures"] == {"count": 0, "results": []}
    assert {entry["statusCode"] for entry in summary["results"]["results"]} == {200}
    assert len({entry["callId"] for entry in summary["results"]["results"]}) == count
    assert await steady.keys_without_ttl() == []


async def test_model_function_gets_each_item_once_with_the_call_id_of_the_summary(steady: Cluster) -> None:
    rows = [f"once {number}" for number in range(50)]
    _, summary = await steady.run(rows)
    expected = {(entry["callId"], entry["url"]) for entry in summary["results"]["results"]}
    seen = [(call_id, item) for call_id, item, _ in steady.calls() if item.startswith("once ")]
    assert sorted(seen) == sorted(expected)


async def test_key_of_an_object_is_enough(steady: Cluster) -> None:
    await steady.put("data/batch-3.csv", to_csv(urls(3)))
    status, opened = await steady.call("batch", body=b"data/batch-3.csv")
    assert status == 201
    assert (opened["batch_size"], opened["tasks"]) == (3, 3)
    final = await steady.ended(opened["batch_id"])

    async def is_saved() -> bool:
        return await steady.keys(f"open/pipeline/{opened['batch_id']}") == []

    await wait_until(is_saved)
    assert final["links"]["status"] == opened["status_url"]
    summary = await steady.summary(opened["batch_id"])
    assert list(summary) == ["batchId", "batchStarted", "batchCompleted", "failures", "results"]
    assert summary["batchId"] == opened["batch_id"]
    assert summary["batchStarted"] <= summary["batchCompleted"]
    assert summary["results"]["results"][0]["result"] == {"length": len(urls(1)[0])}


async def test_specification_sets_headers_of_the_call(steady: Cluster) -> None:
    await steady.put("data/headers.csv", to_csv(["headers"], "text"))
    body = b'{"input": "data/headers.csv", "function": "echo", "headers": {"X-Extra": "yes"}}'
    _, opened = await steady.call("batch", body=body)
    await steady.ended(opened["batch_id"])
    assert ("headers", "yes") in [(item, extra) for _, item, extra in steady.calls()]


async def test_chunk_is_one_call_for_batching_functions(steady: Cluster) -> None:
    rows = [f"together {number}" for number in range(30)]
    status, summary = await steady.run(rows, chunk="10", chunk_call="true")
    assert (status["tasks"], status["succeeded"]) == (3, 30)
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
    assert sum('"together ' in item for _, item, _ in steady.calls()) == 3


async def test_direct_calls_go_from_the_queue_to_the_model_function(steady: Cluster) -> None:
    rows = [f"directly {number}" for number in range(300)]
    status, summary = await steady.run(rows, direct="true")
    assert (status["state"], status["succeeded"]) == ("done", 300)
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
    expected = {(entry["callId"], entry["url"]) for entry in summary["results"]["results"]}
    assert sorted((call_id, item) for call_id, item, _ in steady.calls() if item in rows) == sorted(expected)


async def test_list_has_open_and_ended_batches(steady: Cluster) -> None:
    opened = await steady.submit_rows(["slow 1"])
    async with steady.http.get(steady.url) as response:
        listed = await response.json()
    assert opened["batch_id"] in [entry["batch_id"] for entry in listed["open"]]
    final = await steady.ended(opened["batch_id"])

    async def is_saved() -> bool:
        return await steady.keys(f"open/pipeline/{opened['batch_id']}") == []

    await wait_until(is_saved)
    assert await steady.redis.delete(f"pipeline:{{{opened['batch_id']}}}") == 1
    assert await steady.status(opened["batch_id"]) == final
