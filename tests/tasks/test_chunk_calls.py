"""A chunk sent as one JSON array: as many results come back, or the whole chunk has failed."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import orjson
import pytest

from pipeline.answers.outcome import Outcome
from pipeline.answers.reply import Reply
from pipeline.identity import Identity
from pipeline.metrics import Metrics
from pipeline.store.snapshot import Item
from pipeline.tasks.run import _Job
from tests.rigs.function.fakes import Clock, FakeGateway, spec

if TYPE_CHECKING:
    from pipeline.context import Context

IDENTITY = Identity("batch-1", generation=0, task=3)
ITEMS = [Item(6, "a"), Item(7, 'say "b"'), Item(8, "")]


async def called(clock: Clock, gateway: FakeGateway, items: list[Item]) -> list[Outcome]:
    context = cast("Context", SimpleNamespace(gateway=gateway, metrics=Metrics()))
    job = _Job(context, IDENTITY, spec(chunk_call=True, headers={"X-A": "1"}), clock.now + 60, None)
    return await job.call_chunk(items)


async def test_a_chunk_is_one_call_with_one_call_id(clock: Clock) -> None:
    gateway = FakeGateway([Reply(200, b'[ 1.10, {"b" : 2}, "c" ]')])
    outcomes = await called(clock, gateway, ITEMS)
    assert [(each.index, each.item, each.status) for each in outcomes] == [
        (6, "a", "succeeded"),
        (7, 'say "b"', "succeeded"),
        (8, "", "succeeded"),
    ]
    assert [bytes(each.result) for each in outcomes] == [b"1.10", b'{"b":2}', b'"c"']
    (call,) = gateway.calls
    assert orjson.loads(call.body) == ["a", 'say "b"', ""]
    assert call.headers == {"X-A": "1", "Content-Type": "application/json", "X-Call-Id": IDENTITY.call_id()}


async def test_items_that_are_json_stand_in_the_array_as_they_are(clock: Clock) -> None:
    gateway = FakeGateway([Reply(200, b"[1,2]")])
    outcomes = await called(clock, gateway, [Item(0, '{"a":1.50}', json=True), Item(1, "null", json=True)])
    assert [each.item for each in outcomes] == ['{"a":1.50}', "null"]
    (call,) = gateway.calls
    assert call.body == b'[{"a":1.50},null]'


DEEP = b"[" * 3000 + b"]" * 3000

NONSENSE: dict[str, tuple[bytes, str]] = {
    "too few results": (b"[1,2]", "an array of 2"),
    "too many results": (b"[1,2,3,4]", "an array of 4"),
    "no array": (b'{"a":[1,2,3]}', "something else"),
    "no JSON": (b"busy", "something else"),
    "NaN": (b"[NaN,1,2]", "something else"),
    "nothing": (b"", "something else"),
    "bytes": (b"\xff", "something else"),
    "results nested beyond reading": (b"[1,2," + DEEP + b"]", "something else"),
}


@pytest.mark.parametrize(("body", "problem"), NONSENSE.values(), ids=NONSENSE)
async def test_an_answer_of_another_shape_fails_the_chunk(clock: Clock, body: bytes, problem: str) -> None:
    outcomes = await called(clock, FakeGateway([Reply(200, body)]), ITEMS)
    assert {(each.status, each.status_code, each.retryable) for each in outcomes} == {("failed", 502, True)}
    said = f"the model function was called with an array of 3 and answered with {problem}"
    assert {orjson.loads(bytes(each.result)) for each in outcomes} == {said}


@pytest.mark.parametrize(("status", "items", "retryable"), [(400, 3, True), (400, 1, False), (413, 2, True)])
async def test_a_failed_chunk_is_worth_another_attempt_item_by_item(
    clock: Clock, status: int, items: int, *, retryable: bool
) -> None:
    outcomes = await called(clock, FakeGateway([Reply(status, b"no")]), ITEMS[:items])
    assert [(each.status, each.status_code, each.retryable) for each in outcomes] == [
        ("failed", status, retryable)
    ] * items


async def test_a_single_item_answered_with_nonsense_is_not_tried_again(clock: Clock) -> None:
    (outcome,) = await called(clock, FakeGateway([Reply(200, b"[]")]), ITEMS[:1])
    assert (outcome.status, outcome.retryable) == ("failed", False)
