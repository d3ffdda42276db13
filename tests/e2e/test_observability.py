"""Metrics, logs, status streams and output links of a real stack."""

import json
from typing import Any

import aiohttp
import orjson
import pytest
import yaml

from tests.rigs.images import HANDLER
from tests.rigs.metric_samples import Counts, parse
from tests.rigs.openfaas.cluster import Cluster, cluster, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEMS = 60


async def counts_of(running: Cluster) -> list[Counts]:
    """The metrics of each replica, scraped as Prometheus does, past the gateway and without a token."""
    found = []
    for replica in running.stack.gateway.functions["pipeline"].replicas:
        async with running.http.get(f"{replica.url}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            found.append(parse(await response.text()))
    return found


async def test_two_replicas_count_and_log_their_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with cluster(tmp_path_factory.mktemp("observed"), workers=8, replicas=2, log_level="debug") as running:
        status, _ = await running.run([*urls(ITEMS - 1), "fail 422"])
        assert (status["state"], status["succeeded"], status["failed"]) == ("done", ITEMS - 1, 1)
        batch = status["batch_id"]
        replicas = await counts_of(running)

        def total(name: str) -> float:
            return sum(counts.get(name, 0) for counts in replicas)

        assert all(counts["tasks_settled_total{verdict=settled}"] > 0 for counts in replicas)
        assert total("tasks_settled_total{verdict=settled}") == ITEMS
        assert total("items_settled_total{outcome=succeeded}") == ITEMS - 1
        assert total("items_settled_total{outcome=failed}") == 1
        assert total("requests_total{mode=task,status=200}") == total("releases_total{result=accepted}") == ITEMS
        assert total("model_call_seconds_count{status=2xx}") == ITEMS - 1
        assert (total("batches_opened_total"), total("batches_ended_total{state=done}")) == (1, 1)
        assert total("redis_errors_total{kind=ConnectionError}") == 0
        assert not [name for counts in replicas for name in counts if batch in name or "_created" in name]
        await wait_until(lambda: _swept(running))

        logs = [running.stack.directory / f"pipeline-{number}.log" for number in range(2)]
        lines = [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]
        assert all(lines)
        entries = [line for log in lines for line in log]
        assert {"time", "level", "logger", "event"} <= set.intersection(*(set(line) for line in entries))
        of_batch = {line["event"] for line in entries if line.get("batch") == batch and line["level"] == "info"}
        assert {"batch opened", "batch ended"} <= of_batch
        answered = [line for line in entries if line["event"] == "answered" and line.get("mode") in {"task", "collect"}]
        assert len(answered) == 2 * ITEMS
        assert all({"batch", "generation", "task", "attempt", "call_id", "status"} <= set(line) for line in answered)
        (failed,) = [line for line in entries if line["event"] == "item failed"]
        assert (failed["status"], failed["batch"]) == (422, batch)
        assert "example.org" not in json.dumps(entries)


async def _swept(running: Cluster) -> bool:
    return all(counts["open_batches"] == 0 for counts in await counts_of(running))


async def test_api_description_is_served_through_the_gateway(steady: Cluster) -> None:
    async with steady.http.get(f"{steady.url}/openapi.yaml") as response:
        served = await response.read()
        assert (response.status, response.content_type) == (200, "application/yaml")
    assert served == (HANDLER / "openapi.yaml").read_bytes()
    assert yaml.safe_load(served)["openapi"] == "3.1.0"
    async with aiohttp.ClientSession() as session, session.get(f"{steady.url}/metrics") as response:
        assert (response.status, "build_info{version=0.1.0}" in parse(await response.text())) == (200, True)


async def events(cluster: Cluster, batch: str) -> list[tuple[str, dict[str, Any]]]:
    """Follow a batch to its end, and resume by id whenever the stream ends itself."""
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


async def test_stream_follows_a_batch_to_its_end(steady: Cluster) -> None:
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


async def test_direct_calls_are_timed(steady: Cluster) -> None:
    final, _ = await steady.run([f"direct {number}" for number in range(5)], direct="true")
    assert (final["latency"]["tasks"], sum(final["throughput"]["counts"])) == (5, 5)


async def test_failures_are_grouped_by_kind(steady: Cluster) -> None:
    final, _ = await steady.run(["good", "fail 422 a", "fail 422 b"])
    (group,) = final["failures"]
    assert (group["count"], group["status_code"], group["retried"]) == (2, 422, 0)
    assert group["example"]["item"].startswith("fail 422 ")
    assert group["kind"] == "422: as asked"


async def test_outputs_are_readable_through_their_links(steady: Cluster) -> None:
    opened = await steady.submit_rows(["one", "two"])
    await steady.ended(opened["batch_id"])
    status, found = await steady.call("outputs", query={"batch": opened["batch_id"]})
    assert status == 200
    async with steady.http.get(found["summary"]["url"]) as response:
        assert orjson.loads(await response.read()) == await steady.summary(opened["batch_id"])


async def test_list_is_streamed(steady: Cluster) -> None:
    opened = await steady.submit_rows(["slow 1"])
    async with steady.http.get(steady.url, headers={"Accept": "text/event-stream"}) as response:
        await response.content.readuntil(b"data: ")
        document = json.loads(await response.content.readline())
    assert opened["batch_id"] in [entry["batch_id"] for entry in document["open"]]
    await steady.ended(opened["batch_id"])
