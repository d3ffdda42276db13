"""Calls of the model function: short retries, within a budget of waits and the time of the task."""

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.answers.reply import Reply
from pipeline.tasks.model_call import NOT_STARTED, ModelCall, call_model, is_retryable
from pipeline.units import retry_after
from tests.rigs.function.fakes import Clock, FakeGateway, spec

OK = Reply(200, b"done")
BUSY = Reply(503, b"busy")
FINAL = (200, 201, 204, 299, 301, 302, 400, 401, 403, 404, 405, 409, 413, 422, 600, 999)
RETRIED = (408, 429, 500, 501, 502, 503, 504, 599)


async def call_with(clock: Clock, gateway: FakeGateway, within: float = 60.0, **fields: object) -> ModelCall:
    gateway.clock = clock
    return await call_model(gateway.typed, spec(**fields), b"item", {"X-Call-Id": "id"}, clock.now + within)


@pytest.mark.parametrize("status", FINAL)
async def test_final_status_is_called_once(clock: Clock, status: int) -> None:
    called = await call_with(clock, FakeGateway([Reply(status, b"body")]))
    assert (called.reply, called.attempts, clock.slept) == (Reply(status, b"body"), 1, [])
    assert called.retryable is False
    assert called.succeeded is (status < 300)


@pytest.mark.parametrize("status", RETRIED)
async def test_retryable_status_is_called_until_it_succeeds(clock: Clock, status: int) -> None:
    called = await call_with(clock, FakeGateway([Reply(status, b"", "0"), Reply(status, b"", "0"), OK]))
    assert (called.reply, called.attempts, called.succeeded) == (OK, 3, True)


@pytest.mark.parametrize(("statuses", "expected"), [(FINAL, False), (RETRIED, True)])
def test_statuses_that_are_retried(statuses: tuple[int, ...], *, expected: bool) -> None:
    assert {is_retryable(status) for status in statuses} == {expected}


async def test_item_is_called_at_most_five_times(clock: Clock) -> None:
    gateway = FakeGateway([Reply(503, b"busy", "0")])
    called = await call_with(clock, gateway)
    assert (called.attempts, len(gateway.calls)) == (5, 5)
    assert called.reply.body == b"busy"
    assert called.retryable


async def test_every_call_carries_the_item_and_the_headers(clock: Clock) -> None:
    gateway = FakeGateway([BUSY, OK])
    await call_with(clock, gateway, function="model-2")
    assert len(gateway.calls) == 2
    assert {(made.function, made.body, made.headers["X-Call-Id"]) for made in gateway.calls} == {
        ("model-2", b"item", "id")
    }


async def test_waits_without_retry_after_have_jitter_and_grow(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    await call_with(clock, FakeGateway([BUSY]))
    assert clock.slept == [0.1, 0.2, 0.4, 0.8]


async def test_waits_sum_to_at_most_two_seconds(clock: Clock) -> None:
    called = await call_with(clock, FakeGateway([Reply(503, b"", "1")]))
    assert clock.slept == [1.0, 1.0]
    assert called.attempts == 3


@pytest.mark.parametrize(("asked", "slept"), [("2", [2.0]), ("3", []), ("9" * 400, [])])
async def test_retry_after_beyond_the_budget_ends_the_retries(clock: Clock, asked: str, slept: list[float]) -> None:
    called = await call_with(clock, FakeGateway([Reply(429, b"", asked)]))
    assert (clock.slept, called.attempts) == (slept, len(slept) + 1)
    assert called.retryable


async def test_duration_of_calls_does_not_count_as_waiting(clock: Clock) -> None:
    called = await call_with(clock, FakeGateway([Reply(503, b"", "0")], duration=3.0))
    assert (called.attempts, called.duration) == (5, 15.0)


async def test_no_call_is_made_after_the_deadline(clock: Clock) -> None:
    gateway = FakeGateway([OK])
    called = await call_with(clock, gateway, within=0)
    assert (called, gateway.calls) == (ModelCall(NOT_STARTED, 0, 0.0), [])
    assert called.retryable


async def test_no_wait_goes_past_the_deadline(clock: Clock) -> None:
    called = await call_with(clock, FakeGateway([Reply(503, b"busy", "1")], duration=0.5), within=2.4)
    assert (called.reply.body, called.attempts, clock.slept, called.duration) == (b"busy", 2, [1.0], 2.0)


async def test_call_timeout_is_cut_to_the_rest_of_the_task_time(clock: Clock) -> None:
    gateway = FakeGateway([Reply(503, b"", "1")], duration=0.25)
    await call_with(clock, gateway, within=4.0, timeout=3)
    assert [made.timeout for made in gateway.calls] == [3.0, 2.75, 1.5]


class Today(dt.datetime):
    """A clock that always says noon."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "Today":
        return cls(2030, 6, 1, 12, 0, 0, tzinfo=tz)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Sat, 01 Jun 2030 12:00:05 GMT", 5.0),
        ("Sat, 01 Jun 2030 14:00:05 +0200", 5.0),
        ("Saturday, 01-Jun-30 12:00:07 GMT", 7.0),
        ("Sat, 01 Jun 2030 11:00:00 GMT", 0.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("Sat, 01 Jun 2030 12:00:05 -0000", None),
        ("Sat, 31 Jun 2030 12:00:05 GMT", None),
        ("Sat, 01 Jun 99999 12:00:05 GMT", None),
        ("Sat, 01 Jun 2030 12:00:05 +9999999999999999999", None),
    ],
)
def test_retry_after_is_parsed(monkeypatch: pytest.MonkeyPatch, value: str, expected: float | None) -> None:
    monkeypatch.setattr("pipeline.units.datetime", Today)
    assert retry_after(value) == expected


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None, database=None)
def test_any_retry_after_is_parsed_or_ignored(value: str) -> None:
    assert (retry_after(value) or 0.0) >= 0.0


async def test_retry_after_with_a_date_is_waited_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.units.datetime", Today)
    date = format_datetime(Today.now(dt.UTC) + dt.timedelta(seconds=2), usegmt=True)
    called = await call_with(clock, FakeGateway([Reply(503, b"", date), OK]))
    assert (called.succeeded, clock.slept) == (True, [2.0])
