"""Metrics and logs of real batches: they agree with the outcomes of the items, and contain no text of an item."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.rigs.function.direct_calls import Direct
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering
from tests.rigs.log_lines import LogLines
from tests.rigs.metric_samples import Counts, parse, rises
from tests.rigs.redis.lost_redis import go_on, lose_redis


def counted(pipeline: PipelineBench) -> Counts:
    """The counters above zero."""
    return rises({}, parse(pipeline.context.metrics.exposition()))


@pytest.fixture
def lines() -> Iterator[LogLines]:
    with LogLines.captured() as captured:
        yield captured


def fields_of(lines: LogLines, event: str) -> list[dict[str, object]]:
    """The fields of the log lines of an event, without those common to all lines."""
    common = {"time", "level", "logger", "event", "mode"}
    return [{k: v for k, v in line.items() if k not in common} for line in lines.all() if line["event"] == event]


async def test_items_are_counted_once_however_often_an_answer_comes(
    pipeline: PipelineBench,
) -> None:
    pipeline.serve(answering(lambda text: (200, text) if int(text) % 5 else (400, b"five")))
    await pipeline.submit_rows(*map(str, range(40)), chunk="2", window="4")
    first = pipeline.queue[0]
    answer = await pipeline.run_task(first)
    await pipeline.bench().age_run(0)
    await pipeline.deliver_all()
    assert (await pipeline.call_back(first, answer))["verdict"] in {"duplicate", "closed"}
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["failed"]) == ("done", 32, 8)
    own = counted(pipeline)
    late = {name: value for name, value in own.items() if "duplicate" in name or "closed" in name}
    assert list(late.values()) == [1]
    assert own == late | {
        "items_settled_total{outcome=succeeded}": 32,
        "items_settled_total{outcome=failed}": 8,
        "tasks_settled_total{verdict=settled}": 20,
        "releases_total{result=accepted}": 20,
        "batches_opened_total": 1,
        "batches_ended_total{state=done}": 1,
        "segments_written_total": 1,
    }
    calls = parse(pipeline.context.metrics.exposition())
    # The first task ran twice.
    assert calls["model_call_seconds_count{status=2xx}"] + calls["model_call_seconds_count{status=4xx}"] == 42


async def test_retries_within_a_task_and_generations_are_counted(pipeline: PipelineBench) -> None:
    seen: Counter[str] = Counter()

    def reply(text: str) -> tuple[int, bytes]:
        seen[text] += 1
        return (500, b"broken") if text == "bad" and seen[text] <= 6 else (200, b"1")

    pipeline.serve(answering(reply))
    await pipeline.submit_rows("good", "bad")
    await pipeline.deliver_all()
    await pipeline.bench().age(not_before=-1)
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 2
    counts = counted(pipeline)
    # Once in each generation, with up to five calls.
    assert counts["items_settled_total{outcome=failed}"] == 1
    assert counts["items_settled_total{outcome=succeeded}"] == 2
    assert counts["model_retries_total"] == 5
    assert parse(pipeline.context.metrics.exposition())["model_call_seconds_count{status=5xx}"] == 6


async def test_refused_releases_are_counted_and_logged(pipeline: PipelineBench, lines: LogLines) -> None:
    pipeline.gateway.refusals[pipeline.name] = [500, 500]
    await pipeline.submit_rows("a", "b", "c")
    counts = counted(pipeline)
    assert (counts["releases_total{result=refused}"], counts["releases_total{result=accepted}"]) == (2, 1)
    refused = fields_of(lines, "a release is put off")
    assert sorted(int(str(line["task"])) for line in refused) == [0, 1]
    assert {(line["batch"], line["error"]) for line in refused} == {
        (pipeline.batch, "the gateway refused a message with 500")
    }


async def test_lost_and_unanswered_tasks_are_counted_and_logged(pipeline: PipelineBench, lines: LogLines) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a", "b", window="2")
    await pipeline.call_back(pipeline.queue.pop(1), None, 502, {"X-Call-Id": "x"})
    bench = pipeline.bench()
    await bench.age_releases(t0=-500)
    await bench.age(mark=-400, mark_at=-1000, heard_at=-1, probed_at=-1)
    await pipeline.sweep()
    await pipeline.sweep()
    counts = counted(pipeline)
    assert (counts["tasks_lost_total"], counts["tasks_unanswered_total"]) == (1, 1)
    (entry,) = fields_of(lines, "the task brought no answer")
    assert entry == {"batch": pipeline.batch, "generation": 0, "task": 1, "attempt": 0, "status": "502"}
    (released, *_) = fields_of(lines, "tasks are released by the sweep")
    assert (released["batch"], released["tasks"]) == (pipeline.batch, 1)


async def test_direct_calls_are_counted_as_calls(direct: Direct) -> None:
    await direct.submit("a", "b")
    call = direct.calls.pop()
    await direct.call_back(call, 200, b"1", X_Duration_Seconds="2.5")
    await direct.call_back(direct.calls.pop(), 400, b"no")
    counts = parse(direct.pipeline.context.metrics.exposition())
    assert counts["model_call_seconds_sum{status=2xx}"] == 2.5
    assert counts["model_call_seconds_count{status=4xx}"] == 1
    assert counts["items_settled_total{outcome=failed}"] == counts["items_settled_total{outcome=succeeded}"] == 1


async def test_postponed_direct_call_is_logged_with_its_batch(direct: Direct, lines: LogLines) -> None:
    await direct.submit("a")
    await direct.call_back(direct.calls.pop(), 503, b"hunter2")
    (entry,) = fields_of(lines, "the task brought no answer")
    assert entry == {"batch": direct.pipeline.batch, "generation": 0, "task": 0, "attempt": 0, "status": "503"}
    assert "hunter2" not in lines.text


async def test_abandoned_opening_counts_as_an_end(
    pipeline: PipelineBench, lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    assert (await pipeline.submit("hunter1,hunter2\na,b\n", CSV)).status == 202
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "failed"
    assert counted(pipeline)["batches_ended_total{state=failed}"] == 1
    (entry,) = fields_of(lines, "batch ended")
    assert entry == {"batch": pipeline.batch, "generation": 0, "state": "failed"}
    assert "hunter" not in lines.text


async def test_sweep_counts_open_batches(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    await pipeline.sweep()
    assert parse(pipeline.context.metrics.exposition())["open_batches"] == 1
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    await pipeline.sweep()
    counts = parse(pipeline.context.metrics.exposition())
    assert (counts["open_batches"], counts["batches_ended_total{state=cancelled}"]) == (0, 1)


async def test_batch_is_logged_from_opening_to_end_without_its_items(pipeline: PipelineBench, lines: LogLines) -> None:
    pipeline.serve(answering(lambda text: (503 if text == "hunter2-bad" else 200, "hunter2-result")))
    await pipeline.submit_rows("hunter2-good", "hunter2-bad", attempts="2")
    await pipeline.deliver_all()
    await pipeline.bench().age(not_before=-1)
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert "hunter2" not in lines.text
    events = [line["event"] for line in lines.all() if line["level"] != "debug"]
    assert events == ["batch opened", "generation begun", "tasks are released by the sweep", "batch ended"]
    assert {line["batch"] for line in lines.all()} == {pipeline.batch}
    (opened,) = fields_of(lines, "batch opened")
    assert (opened["items"], opened["tasks"]) == (2, 2)
    (begun,) = fields_of(lines, "generation begun")
    assert (begun["generation"], begun["items"], begun["tasks"]) == (1, 1, 1)
    (ended,) = fields_of(lines, "batch ended")
    assert (ended["generation"], ended["state"], ended["succeeded"], ended["failed"]) == (1, "done", 1, 1)
    failed = fields_of(lines, "item failed")
    assert [(line["index"], line["status"]) for line in failed] == [(1, 503)] * 2
    results = (await pipeline.summary())["failures"]["results"]
    assert failed[-1]["call_id"] == results[0]["callId"]
    assert [line["segment"] for line in fields_of(lines, "segment written")] == [0, 0]


async def test_rebuilt_ledger_is_counted_and_logged(pipeline: PipelineBench, lines: LogLines) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a", "b")
    await lose_redis(pipeline)
    await go_on(pipeline)
    assert counted(pipeline)["ledgers_rebuilt_total"] == 1
    (entry,) = fields_of(lines, "the ledger is rebuilt")
    assert (entry["batch"], entry["tasks"], entry["left"]) == (pipeline.batch, 2, 2)
