"""The list of batches: the open ones and the last ended ones, also after Redis has forgotten them."""

from typing import Any

import pytest

from pipeline.batch.survey import survey
from pipeline.ledger import index
from pipeline.status import list as listing
from tests.rigs.function.pipeline_bench import PipelineBench, answering, document


async def listed(pipeline: PipelineBench) -> dict[str, list[dict[str, Any]]]:
    return document(await pipeline.handle("status"))


async def names(pipeline: PipelineBench) -> tuple[list[str], list[str]]:
    found = await listed(pipeline)
    opened, ended = ([entry["batch_id"] for entry in found[kind]] for kind in ("open", "ended"))
    return opened, ended


async def end(pipeline: PipelineBench, batch: str) -> None:
    """Run a batch of which one row fails."""
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit("url\na\nbad\n", {"Content-Type": "text/csv"}, batch=batch)
    await pipeline.deliver_all()


async def test_open_batch_moves_to_the_ended_ones(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    (entry,) = (await listed(pipeline))["open"]
    url = f"{pipeline.gateway.url}/function/{pipeline.name}/status?batch={pipeline.batch}"
    assert entry.pop("created") > 0
    assert entry == {
        "batch_id": pipeline.batch,
        "state": "running",
        "function": f"{pipeline.name}-model",
        "items": 2,
        "succeeded": 0,
        "failed": 0,
        "ended": None,
        "status_url": url,
    }
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.deliver_all()
    found = await listed(pipeline)
    assert found["open"] == []
    (ended,) = found["ended"]
    assert [ended[name] for name in ("batch_id", "state", "items", "succeeded")] == [pipeline.batch, "done", 2, 2]
    assert ended["ended"] >= ended["created"]


async def test_last_ended_batch_comes_first_and_the_list_is_limited(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await end(pipeline, f"{pipeline.name}-{number}")
    assert await names(pipeline) == ([], [f"{pipeline.name}-{number}" for number in (2, 1, 0)])
    monkeypatch.setattr(listing, "SHOWN_BATCHES", 2)
    assert await names(pipeline) == ([], [f"{pipeline.name}-{number}" for number in (2, 1)])


async def test_oldest_ended_batch_is_forgotten_first(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "REMEMBERED", 2)
    for number in range(3):
        await end(pipeline, f"{pipeline.name}-{number}")
    assert [batch for batch, _ in await pipeline.context.ledger.index.ended(10)] == [
        f"{pipeline.name}-{number}" for number in (2, 1)
    ]


async def test_redriven_batch_is_open_and_not_ended(pipeline: PipelineBench) -> None:
    await end(pipeline, pipeline.batch)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert await names(pipeline) == ([pipeline.batch], [])
    await pipeline.deliver_all()
    assert await names(pipeline) == ([], [pipeline.batch])


async def test_batch_that_ended_just_now_is_listed_once(pipeline: PipelineBench) -> None:
    await end(pipeline, pipeline.batch)
    await pipeline.context.ledger.index.add_open(pipeline.batch)
    assert await names(pipeline) == ([pipeline.batch], [])


async def test_running_batch_is_not_listed_as_ended(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    await pipeline.context.ledger.index.add_ended({pipeline.batch: 1.0})
    await pipeline.context.ledger.index.remove(pipeline.batch)
    assert await names(pipeline) == ([], [])


async def test_deleted_batch_is_not_listed(pipeline: PipelineBench) -> None:
    await end(pipeline, pipeline.batch)
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await names(pipeline) == ([], [])
    assert await pipeline.context.ledger.index.ended(10) == []


async def test_forgotten_batch_is_read_from_s3(pipeline: PipelineBench) -> None:
    await end(pipeline, pipeline.batch)
    before = await listed(pipeline)
    await pipeline.redis.delete(*[key async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:{{*")])
    pipeline.forget()
    after = await listed(pipeline)
    assert before["ended"][0] | {"items": 2} == after["ended"][0]


async def test_survey_restores_the_ended_batches_after_a_loss(pipeline: PipelineBench) -> None:
    await end(pipeline, pipeline.batch)
    await pipeline.redis.delete(*[key async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:*")])
    pipeline.forget()
    assert await names(pipeline) == ([], [])
    await survey(pipeline.context)
    assert await names(pipeline) == ([], [pipeline.batch])


async def test_noted_batch_without_a_claim_is_listed_by_its_id(pipeline: PipelineBench) -> None:
    await pipeline.context.ledger.index.add_open(pipeline.batch)
    (entry,) = (await listed(pipeline))["open"]
    assert (entry["batch_id"], entry["state"], entry["items"]) == (pipeline.batch, None, None)
