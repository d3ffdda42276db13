"""A chunk sent as one JSON array: the answer has as many results, or the whole chunk has failed."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import orjson
import pytest

from pipeline.answers.outcome import Outcome
from pipeline.answers.reply import Reply
from pipeline.identity import Identity
from pipeline.metrics import Metrics
from pipeline.store.snapshot import Item
from pipeline.tasks.run import TaskRun
from tests.rigs.function.fakes import Clock, FakeGateway, spec

if TYPE_CHECKING:
    from pipeline.context import Context

IDENTITY = Identity("batch-1", generation=0, task=3)
ITEMS = [Item(6, "a"), Item(7, 'say "b"'), Item(8, "")]


async def call_chunk(clock: Clock, gateway: FakeGateway, items: list[Item]) -> list[Outcome]:
    context = cast("Context", SimpleNamespace(gateway=gateway, metrics=Metrics()))
    run = TaskRun(context, IDENTITY, spec(chunk_call=True, headers={"X-A": "1"}), clock.now + 60, None, answered=True)
    return await run.call_chunk(items)


async def test_chunk_is_one_call_with_one_call_id(clock: Clock) -> None:
    gateway = FakeGateway([Reply(200, b'[ 1.10, {"b" : 2}, "c" ]')])
    outcomes = await call_chunk(clock, gateway, ITEMS)
    assert [(outcome.index, outcome.item, outcome.status) for outcome in outcomes] == [
        (6, "a", "succeeded"),
        (7, 'say "b"', "succeeded"),
        (8, "", "succeeded"),
    ]
    assert [bytes(outcome.result) for outcome in outcomes] == [b"1.10", b'{"b":2}', b'"c"']
    (call,) = gateway.calls
    assert orjson.loads(call.body) == ["a", 'say "b"', ""]
    assert call.headers == {"X-A": "1", "Content-Type": "application/json", "X-Call-Id": IDENTITY.call_id()}


async def test_json_items_are_unchanged_in_the_array(clock: Clock) -> None:
    gateway = FakeGateway([Reply(200, b"[1,2]")])
    outcomes = await call_chunk(clock, gateway, [Item(0, '{"a":1.50}', json=True), Item(1, "null", json=True)])
    assert [outcome.item for outcome in outcomes] == ['{"a":1.50}', "null"]
    (call,) = gateway.calls
    assert call.body == b'[{"a":1.50},null]'


DEEP = b"[" * 3000 + b"]" * 3000

MALFORMED: dict[str, tuple[bytes, str]] = {
    "too few results": (b"[1,2]", "an array of 2"),
    "too many results": (b"[1,2,3,4]", "an array of 4"),
    "no array": (b'{"a":[1,2,3]}', "something else"),
    "no JSON": (b"busy", "something else"),
    "NaN": (b"[NaN,1,2]", "something else"),
    "nothing": (b"", "something else"),
    "bytes": (b"\xff", "something else"),
    "results nested beyond reading": (b"[1,2," + DEEP + b"]", "something else"),
}


@pytest.mark.parametrize(("body", "problem"), MALFORMED.values(), ids=MALFORMED)
async def test_answer_of_another_shape_fails_the_chunk(clock: Clock, body: bytes, problem: str) -> None:
    outcomes = await call_chunk(clock, FakeGateway([Reply(200, body)]), ITEMS)
    assert {(outcome.status, outcome.status_code, outcome.retryable) for outcome in outcomes} == {("failed", 502, True)}
    problem_text = f"the model function was called with an array of 3 and answered with {problem}"
    assert {orjson.loads(bytes(outcome.result)) for outcome in outcomes} == {problem_text}


@pytest.mark.parametrize(("status", "items", "retryable"), [(400, 3, True), (400, 1, False), (413, 2, True)])
async def test_items_of_a_failed_chunk_are_retried_one_by_one(
    clock: Clock, status: int, items: int, *, retryable: bool
) -> None:
    outcomes = await call_chunk(clock, FakeGateway([Reply(status, b"no")]), ITEMS[:items])
    assert [(outcome.status, outcome.status_code, outcome.retryable) for outcome in outcomes] == [
        ("failed", status, retryable)
    ] * items


async def test_single_item_with_a_malformed_answer_is_not_retried(clock: Clock) -> None:
    (outcome,) = await call_chunk(clock, FakeGateway([Reply(200, b"[]")]), ITEMS[:1])
    assert (outcome.status, outcome.retryable) == ("failed", False)
