"""The status document, made from the fields of a ledger."""

from typing import Any

import pytest

from pipeline.ledger.replies import State
from pipeline.settings.environment import read_settings
from pipeline.status.document import status_document, status_url

SETTINGS = read_settings({"s3_bucket": "rows", "gateway_url": "http://gw:8080"})

RUNNING = {
    "state": "running",
    "function": "model",
    "generation": "1",
    "batch_size": "100",
    "tasks": "20",
    "next": "12",
    "succeeded": "30",
    "failed": "10",
    "retried": "4",
    "created": "999000000",
    "started": "1000000000",
    "run_at": "1000000000",
    "run_settled": "0",
    "window": "128",
}


def document(fields: dict[str, str], *, remaining: int = 8, in_flight: int = 5, now: float = 1020.0) -> dict[str, Any]:
    return status_document(SETTINGS, "batch-1", State(fields, in_flight, remaining, now))


def test_status_of_a_running_batch() -> None:
    url = "http://gw:8080/function/pipeline/status?batch=batch-1"
    assert document(RUNNING) == {
        "batch_id": "batch-1",
        "state": "running",
        "reason": None,
        "trouble": None,
        "function": "model",
        "generation": 1,
        "window": 128,
        "rate_limit": None,
        "items": 100,
        "succeeded": 30,
        "failed": 10,
        "retried": 4,
        "tasks": 20,
        "released": 12,
        "in_flight": 5,
        "settled": 12,
        "rate": 2.0,
        "eta": 30.0,
        "created": 999.0,
        "started": 1000.0,
        "completed": None,
        "ended": None,
        "elapsed": 20.0,
        "links": {"status": url, "summary": None, "outputs": None},
        "notes": [],
        "throughput": {"width": 1.0, "counts": (0,) * 21},
        "latency": None,
        "failures": [],
        "notifications": [],
        "sql": None,
    }


OPENING = {"state": "opening", "function": "model", "created": "999000000"}
NOTHING_YET = RUNNING | {"succeeded": "0", "failed": "0"}
REDUCING = RUNNING | {"state": "reducing", "succeeded": "90", "completed": "1050000000"}
DONE = REDUCING | {"state": "done", "ended": "1060500000", "settled": "20"}
STOPPED = RUNNING | {"state": "cancelled", "reason": "cancelled", "ended": "1030000000", "completed": "1025000000"}
REDRIVEN = RUNNING | {"run_at": "1100000000", "run_settled": "30", "rate": "2.5"}
FAILED = OPENING | {"state": "failed", "reason": "no column", "ended": "1005000000"}

CASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "opening has no rate and no time": (OPENING, {"rate": 0.0, "eta": None, "elapsed": 0.0, "started": None}),
    "nothing settled has no eta": (NOTHING_YET, {"rate": 0.0, "eta": None, "elapsed": 20.0}),
    "a reduce's rate stands still": (REDUCING, {"rate": 2.0, "eta": 0.0, "elapsed": 120.0, "completed": 1050.0}),
    "done stops its clock": (DONE, {"rate": 2.0, "eta": None, "elapsed": 60.5, "ended": 1060.5, "settled": 20}),
    "cancelled says why": (STOPPED, {"reason": "cancelled", "rate": 1.6, "eta": None, "elapsed": 30.0, "settled": 0}),
    "a redrive's rate is its own": (REDRIVEN, {"rate": 0.5, "eta": 120.0, "elapsed": 120.0, "rate_limit": 2.5}),
    "failed never started": (FAILED, {"reason": "no column", "rate": 0.0, "eta": None, "elapsed": 0.0}),
}


@pytest.mark.parametrize(("fields", "expected"), CASES.values(), ids=CASES)
def test_rate_eta_and_elapsed_follow_the_state(fields: dict[str, str], expected: dict[str, Any]) -> None:
    given = document(fields, now=1120.0 if fields is not NOTHING_YET else 1020.0)
    assert {name: given[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "summary"),
    [
        (RUNNING, None),
        (REDUCING, None),
        (DONE, "s3://rows/batch-1.json"),
        (STOPPED, "s3://rows/batch-1.json"),
        (FAILED, None),
    ],
)
def test_summary_is_linked_once_it_exists(fields: dict[str, str], summary: str | None) -> None:
    assert document(fields)["links"]["summary"] == summary


def test_batch_that_starts_now_has_no_rate() -> None:
    assert document(RUNNING, now=1000.0)["rate"] == 0.0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "http://gateway.openfaas.svc.cluster.local:8080/function/pipeline/status?batch=b.1"),
        ({"public_url": "https://faas.example.org/"}, "https://faas.example.org/function/pipeline/status?batch=b.1"),
        ({"function_name": "map", "gateway_url": "http://gw"}, "http://gw/function/map/status?batch=b.1"),
    ],
)
def test_status_url_is_the_public_one(settings: dict[str, str], expected: str) -> None:
    assert status_url(read_settings({"s3_bucket": "rows"} | settings), "b.1") == expected


SHOWN = '[["reduce", "fold"], ["notify", "https://hooks.example.org"], ["notify", "next"]]'
NOTICES = {
    "end": "1f 0 1060500000",
    "0": "delivered 1 200 1060600000 1060500000",
    "1": "due 3 0 1070000000 1060600000",
    "2": "undelivered 9 410 1080000000 1060600000",
}


def notification(
    kind: str, target: str, state: str, tries: int, status: int | None, at: float | None
) -> dict[str, Any]:
    return {"target": target, "kind": kind, "state": state, "tries": tries, "status_code": status, "at": at}


def test_notifications_show_their_state_after_the_end() -> None:
    state = State(DONE | {"shown": SHOWN}, 0, 0, 1090.0, notices=NOTICES)
    assert status_document(SETTINGS, "batch-1", state)["notifications"] == [
        notification("reduce", "fold", "delivered", 1, 200, 1060.6),
        notification("notify", "https://hooks.example.org", "due", 3, None, 1070.0),
        notification("notify", "next", "given up", 9, 410, 1080.0),
    ]


def test_notifications_are_due_before_the_end() -> None:
    assert document(RUNNING | {"shown": SHOWN})["notifications"] == [
        notification("reduce", "fold", "due", 0, None, None),
        notification("notify", "https://hooks.example.org", "due", 0, None, None),
        notification("notify", "next", "due", 0, None, None),
    ]
