"""Any answer of a model function is the outcome of one item, and has no other effect."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.openfaas.cluster import Cluster, cluster, urls

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _by_item(entries: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["url"]: entry for entry in entries}


async def test_failed_items_are_listed_with_their_status_and_text(steady: Cluster) -> None:
    rows = ["good", "fail 400 bad", "fail 404 none", "fail 500 broken", "nonsense", "binary"]
    status, summary = await steady.run(rows, attempts="2")
    assert (status["state"], status["succeeded"], status["failed"], status["generation"]) == ("done", 3, 3, 1)
    failures = summary["failures"]["results"]
    assert summary["failures"]["count"] == 3
    assert [(entry["url"], entry["statusCode"], entry["result"]) for entry in failures] == [
        ("fail 400 bad", 400, "as asked"),
        ("fail 404 none", 404, "as asked"),
        ("fail 500 broken", 500, "as asked"),
    ]
    good = _by_item(summary["results"]["results"])
    assert good["nonsense"]["result"] == '{"half":'
    assert (good["binary"]["result"], good["binary"]["encoding"]) == ("//4A", "base64")


async def test_only_transient_failures_are_called_again(steady: Cluster) -> None:
    await steady.run(["fail 400 once-only", "fail 503 again-and-again", "good"], attempts="2")
    calls = [item for _, item, _ in steady.calls()]
    assert calls.count("fail 400 once-only") == 1
    # Five calls a task and two generations, or fewer where the waits were over two seconds.
    assert 4 <= calls.count("fail 503 again-and-again") <= 10


async def test_item_can_succeed_in_the_next_generation(steady: Cluster) -> None:
    rows = [*urls(9), "flaky one"]
    status, summary = await steady.run(rows, attempts="3", chunk="5")
    assert (status["state"], status["failed"], status["succeeded"]) == ("done", 0, 10)
    assert status["generation"] in {1, 2}
    assert status["retried"] == status["generation"]
    assert [entry["url"] for entry in summary["results"]["results"]] == rows


async def test_large_results_are_stored_and_referenced(steady: Cluster) -> None:
    rows = ["big 2000000 a", "small", "big 2000000 b"]
    opened = await steady.submit_rows(rows)
    await steady.ended(opened["batch_id"])
    entries = (await steady.summary(opened["batch_id"]))["results"]["results"]
    assert [entry["url"] for entry in entries] == rows
    assert entries[1]["result"] == {"length": 5}
    for entry in (entries[0], entries[2]):
        assert entry["result"] is None
        assert entry["resultRef"].startswith(f"{opened['batch_id']}/refs/")
        assert await steady.get(entry["resultRef"]) == b'"' + b"x" * 2_000_000 + b'"'


async def test_inline_limit_0_stores_every_result(steady: Cluster) -> None:
    opened = await steady.submit_rows(urls(3), inline_limit="0")
    await steady.ended(opened["batch_id"])
    entries = (await steady.summary(opened["batch_id"]))["results"]["results"]
    assert [await steady.get(entry["resultRef"]) for entry in entries] == [b'{"length":39}'] * 3


async def test_slow_call_fails_with_504(steady: Cluster) -> None:
    status, summary = await steady.run(["slow 30", "good"], timeout="1", attempts="1")
    assert (status["succeeded"], status["failed"]) == (1, 1)
    assert summary["failures"]["results"][0]["statusCode"] == 504
    assert summary["failures"]["results"][0]["result"] == "no reply within 1 s"


async def test_headers_of_a_hostile_answer_change_nothing(steady: Cluster) -> None:
    opened, rows = await _with_victim(steady)
    status = await steady.ended(opened["batch_id"])
    assert (status["state"], status["succeeded"]) == ("done", 20)
    summary = await steady.summary(opened["batch_id"])
    assert [entry["url"] for entry in summary["results"]["results"]] == rows
    assert (await steady.ended("victim"))["state"] == "done"


async def _with_victim(steady: Cluster) -> tuple[dict[str, Any], list[str]]:
    """Start the batch that the hostile answers name, then a batch with hostile answers."""
    body = b"url\n" + b"slow 0.5\n" * 10
    status, _ = await steady.call("batch", body=body, Content_Type="text/csv", X_Batch_Id="victim")
    assert status == 201
    rows = [f"hostile {mode} {number}" for number in range(10) for mode in ("batch", "cancel")]
    return await steady.submit_rows(rows), rows


async def test_unknown_model_function_ends_the_batch_early_with_a_reason(tmp_path: Path) -> None:
    """The gateway does not look functions up, so that their absence shows in the answers only."""
    async with cluster(tmp_path, {"scale_from_zero": False}, workers=4) as running:
        status, summary = await running.run(urls(2000), function="nosuch")
    assert status["state"] == "failed"
    assert status["reason"] == (
        "the model function 'nosuch' answered 404 to the first 10 calls: is it deployed under this name?"
    )
    assert status["released"] < 200
    assert summary["failures"]["count"] == 2000
    assert summary["failures"]["results"][-1] == {
        "url": urls(2000)[-1],
        "result": f"not run: {status['reason']}",
        "statusCode": None,
        "callId": None,
    }


async def test_function_that_answers_404_to_some_items_is_not_unknown(steady: Cluster) -> None:
    status, _ = await steady.run(["good", *(f"fail 404 {number}" for number in range(30))], window="1")
    assert (status["state"], status["failed"]) == ("done", 30)


async def test_crash_of_a_model_function_costs_only_its_item(steady: Cluster) -> None:
    status, summary = await steady.run([*urls(5), "die"], attempts="1", window="1")
    assert status["state"] == "done"
    assert {entry["url"]: entry["statusCode"] for entry in summary["failures"]["results"]} == {"die": 502}
