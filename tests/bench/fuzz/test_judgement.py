"""The fuzzer notices what is planted for it."""

import json
import socket
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest, Response
from schemathesis import Case
from urllib3 import HTTPResponse

from bench.fuzz.described import NO_MODE, cases, modes, operations, problems
from bench.fuzz.raw import NoAnswerError, exchange, read_answers
from bench.fuzz.run import log_problems
from bench.fuzz.sending import is_wrong
from bench.fuzz.signed import Change, Signed, SignedAnswer, is_as_signed

URL = "http://127.0.0.1:8080/function/pipeline/status?batch=a"
QUERY = "batch=a&generation=0&task=1&attempt=0&epoch=e%2F1&key=0123abcd&sig=ff"
JSON = {"Content-Type": "application/json"}


def answer(status: int, document: object, headers: Mapping[str, str] = JSON) -> Response:
    return answer_of(status, json.dumps(document), headers)


def answer_of(status: int, text: str, headers: Mapping[str, str]) -> Response:
    request = PreparedRequest()
    request.prepare("POST", "http://127.0.0.1:8080/")
    made = Response()
    made.status_code, made._content, made.request = status, text.encode(), request
    made.headers.update(headers)
    made.raw = HTTPResponse(text.encode(), headers)
    return made


GOOD = {
    "a batch": ("batch", answer(201, {"batch_id": "a", "batch_size": 1, "tasks": 1, "status_url": URL})),
    "a refusal": ("batch", answer(400, {"error": "the body is empty", "problems": ["a: is needed"]})),
    "no mode": (NO_MODE, answer(400, {"error": "the header X-Mode is missing"})),
    "in use": (
        "batch",
        answer(503, {"error": "batch 'a' is being opened by another request: try again"}, {**JSON, "Retry-After": "2"}),
    ),
    "metrics": (
        "GET /metrics",
        answer_of(200, "# HELP pipeline_requests_total", {"Content-Type": "text/plain; version=0.0.4"}),
    ),
    "a verdict": ("POST /collect", answer(200, {"verdict": "settled"})),
}
WRONG = {
    "an internal error": ("batch", answer(500, {"error": "internal error"}), "500 with all services up"),
    "no cause": (
        "sweep",
        answer(503, {"error": "Redis cannot serve this"}, {**JSON, "Retry-After": "2"}),
        "503 with all",
    ),
    "another mode's status": ("cancel", answer(201, {"batch_id": "a"}), "Undocumented status code"),
    "no mode, and done": (NO_MODE, answer(200, {"open": 1}), "Undocumented status code"),
    "an error without a word": ("status", answer(404, {"error": ""}), "Response violates schema"),
    "no error": ("status", answer(404, {}), "required property"),
    "no problems": ("batch", answer(400, {"error": "it is not valid", "problems": []}), "Response violates schema"),
    "a field too many": ("sweep", answer(200, {"open": 1, "x": 2}), "unexpected"),
    "an unknown verdict": ("POST /collect", answer(200, {"verdict": "maybe"}), "Response violates schema"),
    "when to try again": ("batch", answer(503, {"error": "batch 'a' is being deleted: try again"}), "Retry-After"),
    "a scheme": ("sweep", answer(401, {"error": "a token is needed"}), "WWW-Authenticate"),
    "no JSON": ("sweep", answer(200, {"open": 1}, {"Content-Type": "text/html"}), "Undocumented Content-Type"),
    "another document": (
        "GET /openapi.yaml",
        answer_of(200, "openapi: 3.1.0", {"Content-Type": "text/plain"}),
        "Content-Type",
    ),
    "half of it": ("sweep", answer_of(200, '{"open"', JSON), "JSON deserialization error"),
    "refused as HTTP": ("sweep", answer_of(400, "bad", {"Content-Type": "text/plain"}), "refused as HTTP: bad"),
}


@pytest.mark.parametrize(("name", "good"), GOOD.values(), ids=GOOD)
def test_described_answer_is_allowed(name: str, good: Response) -> None:
    assert problems(name, good) == []


@pytest.mark.parametrize(("name", "wrong", "why"), WRONG.values(), ids=WRONG)
def test_other_answer_is_a_problem(name: str, wrong: Response, why: str) -> None:
    assert why in "; ".join(problems(name, wrong))


def test_answer_without_a_token_is_a_problem() -> None:
    swept = answer(200, {"open": 1})
    assert problems("sweep", swept, authorized=True) == []
    assert problems("sweep", swept, authorized=False) == ["200 without a token"]


def test_every_operation_has_requests() -> None:
    assert {*modes(), NO_MODE, "GET /", "POST /collect", "GET /metrics"} < set(operations())

    @settings(max_examples=1, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*map(cases, operations())))
    def draw(drawn: tuple[Case[Any], ...]) -> None:
        assert {case.method for case in drawn} == {"GET", "POST"}

    draw()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (Change(), True),
        (Change("x", "1", kind="add"), True),
        (Change("function", "", kind="add"), True),
        (Change("epoch", "e/1", kind="set"), True),
        (Change("task", "1", kind="add"), False),
        (Change("task", "01", kind="set"), False),
        (Change("function", "f", kind="add"), False),
        (Change("sig", kind="drop"), False),
        (Change("sig", "0", 3, kind="flip"), False),
    ],
)
def test_changed_url_is_not_as_signed(change: Change, same: bool) -> None:  # noqa: FBT001
    assert is_as_signed(QUERY, change.apply(QUERY)) is same


def test_change_is_made_at_its_place() -> None:
    assert Change("sig", "0", 3, kind="flip").apply(QUERY) == QUERY.replace("sig=ff", "sig=f0")


def test_own_answer_is_that_of_the_same_identity() -> None:
    answers = [SignedAnswer(QUERY, b"own", "s"), SignedAnswer(QUERY.replace("task=1", "task=2"), b"other", "s")]
    case = operations()["POST /collect"].Case()
    own, newest, none = (Signed("callback", "POST /collect", 0, Change(), case, which) for which in ("own", 0, None))
    assert [step.chosen(answers, QUERY) for step in (own, newest, none)] == [answers[0], answers[1], None]


def test_answers_are_read_one_after_the_other() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    two = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
    assert read_answers(one + two, "POST") == [(200, b"{}"), (404, b"[]")]
    with pytest.raises(NoAnswerError, match="half an answer"):
        read_answers(one + two[:-8], "POST")
    assert [is_wrong(*pair) for pair in ((500, b"x"), (400, b"{}"), (400, b'{"error": "x"}'), (400, b"x"))] == [
        *(True, True, False, False)
    ]


def test_connection_that_stands_still_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.fuzz.raw.PATIENCE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoAnswerError, match="no end within"):
        exchange(silent.getsockname()[1], b"GET / HTTP/1.1\r\n\r\n")


def logged(level: str, logger: str, event: str, **fields: str) -> str:
    return json.dumps({"level": level, "logger": logger, "event": event, **fields}) + "\n"


def test_a_log_with_an_exception_or_a_token_is_a_problem() -> None:
    fine = [
        logged("warning", "pipeline.server", "Redis cannot serve this"),
        logged("error", "aiohttp.server", "Error handling request from 127.0.0.1"),
        logged("error", "aiohttp.server", "Unhandled exception"),
    ]
    assert log_problems("".join(fine), "a-token") == []
    bad = [
        logged("error", "pipeline.server", "unexpected error"),
        logged("error", "aiohttp.server", "Unhandled exception", exception="Traceback:\nKeyError: 1"),
        "RuntimeWarning: coroutine 'f' was never awaited\n",
    ]
    assert log_problems("".join([*fine, *bad, *bad, logged("info", "x", "a-token")]), "a-token") == [
        "logged: RuntimeWarning: coroutine 'f' was never awaited",
        "logged: error aiohttp.server Unhandled exception KeyError: 1",
        "logged: error pipeline.server unexpected error",
        "the token is in the log",
    ]
