"""What is counted is read as it was counted, by each context for itself, under few labels."""

import re

import pytest

from pipeline.metrics import VERSION, Metrics
from tests.rigs.metric_samples import parse, rises


def test_a_process_says_what_runs_and_has_counted_nothing_yet() -> None:
    counts = parse(Metrics().exposition())
    assert counts[f"build_info{{version={VERSION}}}"] == 1
    assert counts["process_start_time_seconds"] > 0
    assert "python_gc_collections_total{generation=0}" in counts
    own = {name: value for name, value in counts.items() if not name.startswith(("process_", "python_", "build_info"))}
    counted = {name: value for name, value in own.items() if not name.split("{")[0].endswith("_created")}
    assert set(counted.values()) == {0}
    # Each is there before its first event, so that the first one is a rise.
    assert {
        *(f"tasks_settled_total{{verdict={verdict}}}" for verdict in ("settled", "duplicate", "closed", "unknown")),
        *("items_settled_total{outcome=succeeded}", "items_settled_total{outcome=failed}"),
        *("releases_total{result=accepted}", "releases_total{result=refused}"),
        *(f"notifications_total{{result={result}}}" for result in ("delivered", "refused", "given up")),
        *(f"batches_ended_total{{state={state}}}" for state in ("done", "cancelled", "failed")),
        *("batches_opened_total", "tasks_lost_total", "tasks_unanswered_total", "segments_written_total"),
        *("open_batches", "requests_in_flight", "model_retries_total", "ledgers_rebuilt_total"),
    } == set(counted)


def test_two_contexts_of_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.opened.inc()
    assert [parse(each.exposition())["batches_opened_total"] for each in (one, other)] == [1, 0]


def test_answers_are_counted_by_mode_and_status_and_timed_by_mode() -> None:
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


def test_no_label_takes_what_grows_with_use() -> None:
    metrics = Metrics()
    metrics.answered("task", 200, 1)
    metrics.called(200, 1)
    metrics.redis_failed("oom")
    metrics.s3_failed("throttled")
    labels = set(re.findall(r"[{,](\w+)=", "\n".join(parse(metrics.exposition()))))
    known = {"mode", "status", "verdict", "outcome", "result", "state", "kind", "le", "version", "generation"}
    assert labels - {"implementation", "major", "minor", "patchlevel"} == known
