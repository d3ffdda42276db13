"""Metrics and log fields around a request."""

import logging
from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest
from multidict import CIMultiDict, MultiDict

from pipeline.metrics import Metrics
from pipeline.request import Event
from pipeline.server import CHANGES, observe
from tests.rigs.log_lines import LogLines
from tests.rigs.metric_samples import parse

CALL_ID = "6c8ee0f5-6a1b-5d0c-9d53-1f0f0a5e7a51"
log = logging.getLogger("pipeline.test")


@pytest.fixture
def lines() -> Iterator[LogLines]:
    with LogLines.captured() as captured:
        yield captured


def event(path: str = "/", query: str = "", method: str = "POST", **headers: str) -> Event:
    given = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Event(b"", given, method, MultiDict(parse_qsl(query)), path)


FIELDS: dict[str, tuple[Event, dict[str, str]]] = {
    "a batch in the query": (event(X_Mode="cancel", query="batch=monday"), {"mode": "cancel", "batch": "monday"}),
    "a batch in a header": (event(X_Mode="batch", X_Batch_Id="monday"), {"mode": "batch", "batch": "monday"}),
    "no batch": (event(method="GET"), {"mode": "status"}),
    "no name of a batch": (event(X_Mode="cancel", query="batch=a token"), {"mode": "cancel"}),
    "no mode": (event(X_Mode="a-token", query="batch=monday"), {"mode": "none", "batch": "monday"}),
    "a call": (event(X_Mode="sweep", X_Call_Id=CALL_ID), {"mode": "sweep", "call_id": CALL_ID}),
    "no id of a call": (event(X_Mode="sweep", X_Call_Id="a token"), {"mode": "sweep"}),
    "an invocation that nobody has verified": (event(X_Mode="task", query="batch=monday&task=1"), {"mode": "task"}),
    "a callback's headers": (
        event("/collect", X_Mode="cancel", X_Batch_Id="victim", X_Call_Id=CALL_ID),
        {"mode": "collect", "call_id": CALL_ID},
    ),
}


@pytest.mark.parametrize(("sent", "expected"), FIELDS.values(), ids=FIELDS)
async def test_log_lines_carry_the_mode_batch_and_call_of_the_request(
    lines: LogLines, sent: Event, expected: dict[str, str]
) -> None:
    with observe(Metrics(), sent) as answer:
        log.info("meanwhile")
        answer.status = 202
    meanwhile, answered = lines.all()
    for line in (meanwhile, answered):
        assert {name: line[name] for name in ("mode", "batch", "call_id") if name in line} == expected
    assert (answered["event"], answered["status"]) == ("answered", 202)
    assert answered["seconds"] >= 0
    assert answered["level"] == ("info" if expected["mode"] in CHANGES else "debug")


async def test_request_is_counted_in_flight_and_when_answered() -> None:
    metrics = Metrics()
    with observe(metrics, event(X_Mode="sweep")) as answer:
        assert parse(metrics.exposition())["requests_in_flight"] == 1
        answer.status = 503
    counts = parse(metrics.exposition())
    assert (counts["requests_in_flight"], counts["requests_total{mode=sweep,status=503}"]) == (0, 1)
    assert counts["request_seconds_count{mode=sweep}"] == 1


async def test_request_that_raises_is_counted_with_status_0() -> None:
    metrics = Metrics()
    with pytest.raises(ZeroDivisionError), observe(metrics, event(X_Mode="sweep")):
        raise ZeroDivisionError
    counts = parse(metrics.exposition())
    assert (counts["requests_in_flight"], counts["requests_total{mode=sweep,status=0}"]) == (0, 1)


async def test_unknown_modes_share_one_label() -> None:
    metrics = Metrics()
    for number in range(10):
        with observe(metrics, event(X_Mode=f"mode-{number}")) as answer:
            answer.status = 400
    found = {name for name in parse(metrics.exposition()) if name.startswith("requests_total")}
    assert found == {"requests_total{mode=none,status=400}"}
