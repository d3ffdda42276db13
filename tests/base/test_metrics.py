"""Metrics: one set for each context, few labels, and errors of Redis and S3 counted by kind."""

import dataclasses
import re

import pytest
from botocore.retries.standard import ExponentialBackoff
from redis.asyncio import Redis

from pipeline.errors import UnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.local.services.ports import HOST, free_port
from pipeline.local.services.redis_and_s3 import RedisServer
from pipeline.local.services.s3_client import S3Info
from pipeline.metrics import VERSION, Metrics
from pipeline.store.bucket import Store
from pipeline.store.errors import MissingObjectError
from tests.rigs.fixtures.services import connection
from tests.rigs.metric_samples import parse, rises
from tests.rigs.s3.proxy import Fault, S3Proxy, drop, refuse


def test_every_metric_exists_before_its_first_event() -> None:
    counts = parse(Metrics().exposition())
    assert counts[f"build_info{{version={VERSION}}}"] == 1
    assert counts["process_start_time_seconds"] > 0
    assert "python_gc_collections_total{generation=0}" in counts
    own = {name: value for name, value in counts.items() if not name.startswith(("process_", "python_", "build_info"))}
    counted = {name: value for name, value in own.items() if not name.split("{")[0].endswith("_created")}
    assert set(counted.values()) == {0}
    # A counter exists before its first event, so that the first event is an increase.
    assert {
        *(f"tasks_settled_total{{verdict={verdict}}}" for verdict in ("settled", "duplicate", "closed", "unknown")),
        *("items_settled_total{outcome=succeeded}", "items_settled_total{outcome=failed}"),
        *("releases_total{result=accepted}", "releases_total{result=refused}"),
        *(f"notifications_total{{result={result}}}" for result in ("delivered", "refused", "given up")),
        *(f"batches_ended_total{{state={state}}}" for state in ("done", "cancelled", "failed")),
        *("batches_opened_total", "tasks_lost_total", "tasks_unanswered_total", "segments_written_total"),
        *("open_batches", "requests_in_flight", "model_retries_total", "ledgers_rebuilt_total"),
    } == set(counted)


def test_two_contexts_of_one_process_count_separately() -> None:
    one, other = Metrics(), Metrics()
    one.opened.inc()
    assert [parse(metrics.exposition())["batches_opened_total"] for metrics in (one, other)] == [1, 0]


def test_requests_are_counted_by_mode_and_status_and_timed_by_mode() -> None:
    metrics = Metrics()
    for status, seconds in ((200, 0.004), (200, 0.3), (503, 70)):
        metrics.answered("collect", status, seconds)
    counts = parse(metrics.exposition())
    assert counts["requests_total{mode=collect,status=200}"] == 2
    assert counts["requests_total{mode=collect,status=503}"] == 1
    assert counts["request_seconds_sum{mode=collect}"] == pytest.approx(70.304)
    buckets = ("0.005", "0.25", "0.5", "60.0", "+Inf")
    assert [counts[f"request_seconds_bucket{{le={le},mode=collect}}"] for le in buckets] == [1, 1, 2, 2, 3]


def test_calls_are_timed_by_the_class_of_their_status() -> None:
    metrics = Metrics()
    for status in (200, 204, 404, 503, 999):
        metrics.called(status, 1)
    for attempts in (0, 1, 3):
        metrics.tried(attempts)
    counts = parse(metrics.exposition())
    found = {name: value for name, value in counts.items() if name.startswith("model_call_seconds_count")}
    assert found == {
        f"model_call_seconds_count{{status={kind}}}": n
        for kind, n in zip(("2xx", "4xx", "5xx", "9xx"), (2, 1, 1, 1), strict=True)
    }
    assert counts["model_retries_total"] == 2


@pytest.mark.parametrize("verdict", ["duplicate", "closed", "unknown"])
def test_only_the_first_answer_of_a_task_counts_its_items(verdict: str) -> None:
    metrics = Metrics()
    before = parse(metrics.exposition())
    metrics.settled(verdict, 3, 2)
    assert rises(before, parse(metrics.exposition())) == {f"tasks_settled_total{{verdict={verdict}}}": 1}


def test_labels_have_a_bounded_number_of_values() -> None:
    metrics = Metrics()
    metrics.answered("task", 200, 1)
    metrics.called(200, 1)
    metrics.redis_failed("oom")
    metrics.s3_failed("throttled")
    labels = set(re.findall(r"[{,](\w+)=", "\n".join(parse(metrics.exposition()))))
    known = {"mode", "status", "verdict", "outcome", "result", "state", "kind", "le", "version", "generation"}
    assert labels - {"implementation", "major", "minor", "patchlevel"} == known


async def test_redis_errors_are_counted_by_kind(
    redis_server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis.script_flush()
    monkeypatch.setattr("pipeline.ledger.redis.retry.PATIENCE", 0)
    for url, password, kind in (
        (f"redis://{HOST}:{free_port()}", None, "ConnectionError"),
        (redis_server.url, "another-password", "wrongpass"),
        (redis_server.url, redis_server.password, ""),
    ):
        metrics = Metrics()
        async with Ledger.connect(url, password, "prefix", metrics) as ledger:
            if kind:
                with pytest.raises(UnavailableError):
                    await ledger.phase("batch")
            else:
                # A script that Redis does not know yet is not an error.
                await ledger.phase("batch")
        counts = rises({}, parse(metrics.exposition()))
        assert {n: v for n, v in counts.items() if "redis" in n} == (
            {f"redis_errors_total{{kind={kind}}}": 1} if kind else {}
        )


# aiohttp itself retries once when a kept-alive connection drops.
S3_FAULTS: dict[str, tuple[list[Fault], str, int]] = {
    "throttled": ([refuse(503, "SlowDown")] * 2, "throttled", 2),
    "throttled by another code": ([refuse(429, "TooManyRequests")], "throttled", 1),
    "dropped": ([drop] * 2, "connection", 1),
    "broken": ([refuse(500, "InternalError")], "other", 1),
    "denied": ([refuse(403, "AccessDenied")], "denied", 1),
    "an old token": ([refuse(400, "ExpiredToken")], "credentials", 1),
}


@pytest.mark.parametrize(("faults", "kind", "count"), S3_FAULTS.values(), ids=S3_FAULTS)
async def test_s3_errors_are_counted_by_kind(
    proxy: S3Proxy, s3: S3Info, name: str, monkeypatch: pytest.MonkeyPatch, faults: list[Fault], kind: str, count: int
) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    metrics = Metrics()
    settings, secrets = connection(dataclasses.replace(s3, endpoint=proxy.url))
    async with Store.connect(settings, secrets, metrics=metrics) as store:
        await store.put(name, b"object")
        with pytest.raises(MissingObjectError):
            await store.get(f"{name}-no")
        proxy.faults = list(faults)
        if kind in {"denied", "credentials"}:
            with pytest.raises(UnavailableError):
                await store.get(name)
        else:
            assert await store.get(name) == b"object"
    counts = rises({}, parse(metrics.exposition()))
    assert {n: v for n, v in counts.items() if "s3" in n} == {f"s3_errors_total{{kind={kind}}}": count}
