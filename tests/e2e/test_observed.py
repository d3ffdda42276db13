"""Replicas of a real stack: each serves its own counts, and writes lines of JSON that tell of its batches."""

import json

import aiohttp
import pytest
import yaml

from tests.rigs.images import HANDLER
from tests.rigs.metric_samples import Counts, parse
from tests.rigs.openfaas.cluster import Cluster, cluster, urls
from tests.rigs.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ITEMS = 60


async def counts_of(running: Cluster) -> list[Counts]:
    """What each replica has counted; asked as Prometheus asks, past the gateway and without a token."""
    found = []
    for replica in running.stack.gateway.functions["pipeline"].replicas:
        async with running.http.get(f"{replica.url}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            found.append(parse(await response.text()))
    return found


async def test_two_replicas_count_and_tell_what_they_did(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with cluster(tmp_path_factory.mktemp("observed"), workers=8, replicas=2, log_level="debug") as running:
        status, _ = await running.run([*urls(ITEMS - 1), "fail 422"])
        assert (status["state"], status["succeeded"], status["failed"]) == ("done", ITEMS - 1, 1)
        batch = status["batch_id"]
        each = await counts_of(running)

        def total(name: str) -> float:
            return sum(counts.get(name, 0) for counts in each)

        assert all(counts["tasks_settled_total{verdict=settled}"] > 0 for counts in each)
        assert total("tasks_settled_total{verdict=settled}") == ITEMS
        assert total("items_settled_total{outcome=succeeded}") == ITEMS - 1
        assert total("items_settled_total{outcome=failed}") == 1
        assert total("requests_total{mode=task,status=200}") == total("releases_total{result=accepted}") == ITEMS
        assert total("model_call_seconds_count{status=2xx}") == ITEMS - 1
        assert (total("batches_opened_total"), total("batches_ended_total{state=done}")) == (1, 1)
        assert total("redis_errors_total{kind=ConnectionError}") == 0
        assert not [name for counts in each for name in counts if batch in name or "_created" in name]
        await wait_until(lambda: _swept(running))

        logs = [running.stack.directory / f"pipeline-{number}.log" for number in range(2)]
        lines = [[json.loads(line) for line in log.read_text().splitlines()] for log in logs]
        assert all(lines)
        told = [line for log in lines for line in log]
        assert {"time", "level", "logger", "event"} <= set.intersection(*(set(line) for line in told))
        of_batch = {line["event"] for line in told if line.get("batch") == batch and line["level"] == "info"}
        assert {"batch opened", "batch ended"} <= of_batch
        answered = [line for line in told if line["event"] == "answered" and line.get("mode") in {"task", "collect"}]
        assert len(answered) == 2 * ITEMS
        assert all({"batch", "generation", "task", "attempt", "call_id", "status"} <= set(line) for line in answered)
        (failed,) = [line for line in told if line["event"] == "item failed"]
        assert (failed["status"], failed["batch"]) == (422, batch)
        assert "example.org" not in json.dumps(told)


async def _swept(running: Cluster) -> bool:
    return all(counts["open_batches"] == 0 for counts in await counts_of(running))


async def test_the_description_comes_through_the_gateway(steady: Cluster) -> None:
    async with steady.http.get(f"{steady.url}/openapi.yaml") as response:
        served = await response.read()
        assert (response.status, response.content_type) == (200, "application/yaml")
    assert served == (HANDLER / "openapi.yaml").read_bytes()
    assert yaml.safe_load(served)["openapi"] == "3.1.0"
    async with aiohttp.ClientSession() as session, session.get(f"{steady.url}/metrics") as response:
        assert (response.status, "build_info{version=0.1.0}" in parse(await response.text())) == (200, True)
