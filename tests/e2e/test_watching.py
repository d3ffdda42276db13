"""What watches a batch: the stream through the gateway, what is counted of it, the links to its outputs."""

import json
from typing import Any

import orjson
import pytest

from tests.rigs.openfaas.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def events(cluster: Cluster, batch: str) -> list[tuple[str, dict[str, Any]]]:
    """Follow a batch to its end, going on by id as often as the stream ends itself."""
    found: list[tuple[str, dict[str, Any]]] = []
    seen = ""
    while not found or found[-1][0] != "end":
        headers = {"Accept": "text/event-stream", "Last-Event-ID": seen}
        async with cluster.http.get(cluster.url, params={"batch": batch}, headers=headers) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            for block in (await response.text()).split("\n\n"):
                fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                seen = fields.get("id", seen)
                if fields:
                    found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_a_batch_can_be_followed_to_its_end(steady: Cluster) -> None:
    rows = [*(f"slow 0.1 {number}" for number in range(20)), "fail 422"]
    opened = await steady.submit_rows(rows, window="4")
    *followed, (last, nothing) = await events(steady, opened["batch_id"])
    assert (last, nothing) == ("end", {})
    assert {kind for kind, _ in followed} == {"status"}
    states = [document["state"] for _, document in followed]
    assert (states[0], states[-1]) == ("running", "done")
    final = await steady.status(opened["batch_id"])
    assert followed[-1][1] == final
    assert sum(final["throughput"]["counts"]) == len(rows)
    assert final["latency"]["tasks"] == len(rows)
    assert 0 < final["latency"]["p50"] <= final["latency"]["p99"] <= final["latency"]["max"]


async def test_direct_calls_are_timed_as_well(steady: Cluster) -> None:
    final, _ = await steady.run([f"direct {number}" for number in range(5)], direct="true")
    assert (final["latency"]["tasks"], sum(final["throughput"]["counts"])) == (5, 5)


async def test_failures_are_told_by_kind(steady: Cluster) -> None:
    final, _ = await steady.run(["good", "fail 422 a", "fail 422 b"])
    (group,) = final["failures"]
    assert (group["count"], group["status_code"], group["retried"]) == (2, 422, 0)
    assert group["example"]["item"].startswith("fail 422 ")
    assert group["kind"] == "422: as asked"


async def test_outputs_can_be_read_by_whoever_has_the_link(steady: Cluster) -> None:
    opened = await steady.submit_rows(["one", "two"])
    await steady.ended(opened["batch_id"])
    status, found = await steady.call("outputs", query={"batch": opened["batch_id"]})
    assert status == 200
    async with steady.http.get(found["summary"]["url"]) as response:
        assert orjson.loads(await response.read()) == await steady.summary(opened["batch_id"])


async def test_the_list_is_streamed_as_well(steady: Cluster) -> None:
    opened = await steady.submit_rows(["slow 1"])
    async with steady.http.get(steady.url, headers={"Accept": "text/event-stream"}) as response:
        await response.content.readuntil(b"data: ")
        document = json.loads(await response.content.readline())
    assert opened["batch_id"] in [entry["batch_id"] for entry in document["open"]]
    await steady.ended(opened["batch_id"])
