"""The fuzzer notices what is planted for it."""

import asyncio
import http.client
import json
from collections.abc import Mapping

import pytest

from bench.fuzz.description import NO_MODE, problems
from bench.fuzz.run import log_problems
from bench.fuzz.sending import mode_of
from bench.fuzz.steps import Change, Signed, apply_change, is_as_signed
from bench.fuzz.wire import Answer, NoAnswerError, Request, ask, read_answers

URL = "http://127.0.0.1:8080/function/pipeline/status?batch=a"
QUERY = b"batch=a&generation=0&task=1&attempt=0&epoch=e%2F1&key=0123abcd&sig=ff"
JSON = {"Content-Type": "application/json"}


def answer(status: int, document: object, headers: Mapping[str, str] = JSON) -> Answer:
    message = http.client.HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    return Answer(status, message, json.dumps(document).encode())


def answer_of(text: str, content_type: str) -> Answer:
    return Answer(200, answer(200, None, {"Content-Type": content_type}).headers, text.encode())


GOOD = {
    "a batch": ("batch", answer(201, {"batch_id": "a", "batch_size": 1, "tasks": 1, "status_url": URL})),
    "a refusal": ("batch", answer(400, {"error": "the body is empty", "problems": ["a: is needed"]})),
    "no mode": (NO_MODE, answer(400, {"error": "the header X-Mode is missing"})),
    "unavailable": ("sweep", answer(503, {"error": "Redis cannot serve this"}, {**JSON, "Retry-After": "2"})),
    "what is counted": ("/metrics", answer_of("# HELP pipeline_requests_total", "text/plain; version=0.0.4")),
    "a verdict": ("collect", answer(200, {"verdict": "settled"})),
}
WRONG = {
    "an internal error": ("batch", answer(500, {"error": "internal error"}), "batch does not answer 500"),
    "another mode's status": ("cancel", answer(201, {"batch_id": "a"}), "cancel does not answer 201"),
    "no mode, and done": (NO_MODE, answer(200, {"open": 1}), "no mode does not answer 200"),
    "an error without a word": ("status", answer(404, {"error": ""}), "the body of 404: error: '' "),
    "no error": ("status", answer(404, {}), "'error' is a required property"),
    "no problems": ("batch", answer(400, {"error": "it is not valid", "problems": []}), "problems: []"),
    "a field too many": ("sweep", answer(200, {"open": 1, "x": 2}), "'x' was unexpected"),
    "an unknown verdict": ("collect", answer(200, {"verdict": "maybe"}), "verdict: 'maybe' is not one of"),
    "when to try again": ("sweep", answer(503, {"error": "Redis cannot serve this"}), "Retry-After of 503 is None"),
    "a scheme": ("sweep", answer(401, {"error": "a token is needed"}), "WWW-Authenticate of 401 is None"),
    "no JSON": ("sweep", answer(200, {"open": 1}, {"Content-Type": "text/html"}), "content type 'text/html'"),
    "nothing counted": ("/metrics", answer_of("", "text/plain"), "the body of 200: : '' does not match"),
    "another document": ("/openapi.yaml", answer_of("openapi: 3.1.0", "text/plain"), "content type 'text/plain'"),
    "half of it": (
        "sweep",
        Answer(200, answer(200, {}).headers, b'{"open"'),
        "the body of 200 is not application/json",
    ),
}


@pytest.mark.parametrize(("mode", "good"), GOOD.values(), ids=GOOD)
def test_what_is_described_is_allowed(mode: str, good: Answer) -> None:
    assert problems(mode, good) == []


@pytest.mark.parametrize(("mode", "wrong", "why"), WRONG.values(), ids=WRONG)
def test_what_is_not_described_is_a_problem(mode: str, wrong: Answer, why: str) -> None:
    (problem,) = problems(mode, wrong)
    assert why in problem


def request(method: bytes, target: bytes, *headers: tuple[bytes, bytes]) -> Request:
    return Request(method, target, headers)


@pytest.mark.parametrize(
    ("sent", "mode"),
    [
        (request(b"POST", b"/", (b"X-Mode", b" Batch ")), "batch"),
        (request(b"POST", b"/%63ollect/?a=b", (b"X-Mode", b"batch")), "collect"),
        (request(b"GET", b"/status?batch=a"), "status"),
        (request(b"POST", b"/status?batch=a"), NO_MODE),
        (request(b"POST", b"/", (b"X-Connector", b"cron-connector")), "sweep"),
        (request(b"POST", b"/", (b"x-mode", b"nosuch"), (b"X-Mode", b"batch")), NO_MODE),
        (request(b"GET", b"/_/ready"), "/_/ready"),
        (request(b"POST", b"/_/ready"), NO_MODE),
        (request(b"GET", b"/metrics?batch=a", (b"X-Mode", b"batch")), "/metrics"),
        (request(b"HEAD", b"/%6fpenapi.yaml"), "/openapi.yaml"),
        (request(b"GET", b"/metrics/"), "status"),
    ],
)
def test_a_request_has_the_mode_that_the_description_gives_it(sent: Request, mode: str) -> None:
    assert mode_of(sent) == mode


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (Change(b""), True),
        (Change(b"x", b"1", kind="add"), True),
        (Change(b"function", b"", kind="add"), True),
        (Change(b"epoch", b"e/1", kind="set"), True),
        (Change(b"task", b"1", kind="add"), False),
        (Change(b"task", b"01", kind="set"), False),
        (Change(b"function", b"f", kind="add"), False),
        (Change(b"sig", kind="drop"), False),
        (Change(b"sig", place=3, letter=b"0", kind="flip"), False),
    ],
)
def test_a_changed_url_is_not_what_was_signed(change: Change, same: bool) -> None:  # noqa: FBT001
    assert is_as_signed(QUERY, apply_change(QUERY, Signed("callback", "collect", 0, change))) is same


def test_a_change_is_made_where_it_says() -> None:
    step = Signed("callback", "collect", 0, Change(b"sig", place=3, letter=b"0", kind="flip"))
    assert apply_change(QUERY, step) == QUERY.replace(b"sig=ff", b"sig=f0")


def test_answers_are_read_one_after_the_other() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    two = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
    assert [(a.status, a.body) for a in read_answers(one + two)] == [(200, b"{}"), (404, b"[]")]
    with pytest.raises(NoAnswerError, match="half an answer"):
        read_answers(one + two[:-8])


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}"])
async def test_a_connection_that_ends_early_is_no_answer(sent: bytes) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        with pytest.raises(NoAnswerError):
            await ask(server.sockets[0].getsockname()[1], request(b"GET", b"/"))


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
