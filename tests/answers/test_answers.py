"""The answer of a task: an envelope, then a line for each outcome; results too large for it are stored."""

import hashlib
from typing import Any

import msgspec
import orjson
import pytest

from pipeline.answers.envelope import Envelope, decode_envelope, encode_answer
from pipeline.answers.failure_kinds import group_failures
from pipeline.answers.outcome import Outcome
from pipeline.answers.reply import Reply
from pipeline.identity import Identity
from pipeline.store.snapshot import Item
from pipeline.tasks.make_outcome import make_outcome, store_large_results
from pipeline.tasks.model_call import ModelCall
from tests.rigs.function.fakes import FakeStore

IDENTITY = Identity("batch-1", generation=0, task=3, attempt=2)


def outcome(index: int, size: int = 2, **fields: Any) -> Outcome:
    defaults = {"item": f"item {index}", "status": "succeeded", "status_code": 200, "attempts": 1}
    result = msgspec.Raw(b'"' + b"r" * (size - 2) + b'"')
    return Outcome(**{**defaults, "index": index, "duration": 0.5, "call_id": "id", "result": result, **fields})


def test_answer_decodes_to_its_outcomes() -> None:
    outcomes = [
        outcome(5, result=msgspec.Raw(b'{"big":123456789012345678901234567890,"price":1.10}')),
        outcome(6, status="failed", status_code=503, retryable=True, attempts=5),
        outcome(7, item="two\nlines", encoding="base64", ref="key", result=msgspec.Raw(b"null")),
    ]
    envelope, lines = decode_envelope(encode_answer(outcomes))
    failures = group_failures(outcomes)
    assert envelope == Envelope(succeeded=2, failed=1, not_found=0, first=5, last=7, retryable=1, failures=failures)
    assert [msgspec.json.decode(line, type=Outcome) for line in lines.split(b"\n")] == outcomes
    assert b"123456789012345678901234567890" in lines
    assert b"1.10" in lines


def test_outcome_has_the_field_names_of_the_summary() -> None:
    written = orjson.loads(msgspec.json.encode(outcome(1, retryable=True, ref="key")))
    assert list(written) == [
        *("index", "item", "status", "statusCode", "attempts", "duration", "callId"),
        *("retryable", "result", "ref"),
    ]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], Envelope(0, 0, 0, -1, -1)),
        ([200], Envelope(1, 0, 0, 10, 10)),
        ([404], Envelope(0, 1, 1, 10, 10)),
        ([200, 404, 500, 404, 204], Envelope(2, 3, 2, 10, 14)),
    ],
)
def test_envelope_counts_the_outcomes(statuses: list[int], expected: Envelope) -> None:
    outcomes = [
        outcome(10 + i, status="succeeded" if status < 300 else "failed", status_code=status)
        for i, status in enumerate(statuses)
    ]
    assert msgspec.structs.replace(decode_envelope(encode_answer(outcomes))[0], failures=()) == expected


def test_answer_without_outcomes_has_no_lines() -> None:
    assert decode_envelope(encode_answer([]))[1] == b""


@pytest.mark.parametrize(
    ("status", "override", "expected"),
    [
        (200, None, ("succeeded", False)),
        (204, True, ("succeeded", False)),
        (302, None, ("failed", False)),
        (400, None, ("failed", False)),
        (400, True, ("failed", True)),
        (429, None, ("failed", True)),
        (500, None, ("failed", True)),
        (500, False, ("failed", False)),
    ],
)
def test_status_becomes_an_outcome(status: int, *, override: bool | None, expected: tuple[str, bool]) -> None:
    called = ModelCall(Reply(status, b'{"a": 1}'), 3, 0.12345678)
    made = make_outcome(IDENTITY.call_id(9), Item(9, "cell"), called, retryable=override)
    assert (made.status, made.retryable) == expected
    assert (made.index, made.item, made.status_code, made.attempts, made.duration) == (9, "cell", status, 3, 0.123457)
    assert bytes(made.result) == b'{"a":1}'
    assert made.call_id == IDENTITY.call_id(9)


def test_long_item_is_cut_to_a_preview() -> None:
    made = make_outcome(IDENTITY.call_id(0), Item(0, "x" * 5000), ModelCall(Reply(200, b""), 1, 0.0))
    assert made.item == "x" * 1024


SIZES = (1500, 40, 3000, 1024, 2000, 1025)

SHEDDING = {
    "a limit of 0 stores every result, the largest first": (0, [2, 4, 0, 5, 3, 1]),
    "what fits exactly stays": (sum(SIZES), []),
    "one byte too many stores the largest": (sum(SIZES) - 1, [2]),
    "the largest is enough up to its size": (sum(SIZES) - 3000, [2]),
    "one byte more takes the next": (sum(SIZES) - 3001, [2, 4]),
    "results of 1 KiB are never stored under a limit": (1, [2, 4, 0, 5]),
}


@pytest.mark.parametrize(("limit", "stored"), SHEDDING.values(), ids=SHEDDING)
async def test_large_results_are_stored_largest_first(limit: int, stored: list[int]) -> None:
    store = FakeStore()
    outcomes = [outcome(100 + i, size) for i, size in enumerate(SIZES)]
    shed_outcomes = await store_large_results(store.typed, IDENTITY, outcomes, limit)
    digests = [hashlib.sha256(bytes(outcomes[i].result)).hexdigest()[:16] for i in stored]
    keys = [f"batch-1/refs/3.2.{100 + i}.{digest}" for i, digest in zip(stored, digests, strict=True)]
    assert store.objects == dict(zip(keys, [bytes(outcomes[i].result) for i in stored], strict=True))
    assert list(store.objects) == keys
    references = dict(zip(stored, keys, strict=True))
    expected = [
        msgspec.structs.replace(made, result=msgspec.Raw(b"null"), ref=references[i]) if i in references else made
        for i, made in enumerate(outcomes)
    ]
    assert shed_outcomes == expected


async def test_storing_results_does_not_change_the_given_outcomes() -> None:
    outcomes = [outcome(0, 5000)]
    await store_large_results(FakeStore().typed, IDENTITY, outcomes, 0)
    assert outcomes == [outcome(0, 5000)]


async def test_no_outcomes_store_nothing() -> None:
    assert await store_large_results(FakeStore().typed, IDENTITY, [], 0) == []
