"""A log line: one event as JSON, with its batch and call, and without secrets."""

import ast
import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
from structlog.contextvars import bound_contextvars

from pipeline import logs
from pipeline.concurrency import BackgroundTasks
from pipeline.errors import UnavailableError
from pipeline.identity import Identity
from pipeline.logs import FIELDS, LONGEST_TEXT
from tests.rigs.images import modules
from tests.rigs.log_lines import LogLines

CALL_ID = "6c8ee0f5-6a1b-5d0c-9d53-1f0f0a5e7a51"
log = logging.getLogger("pipeline.test")


@pytest.fixture
def lines() -> Iterator[LogLines]:
    with LogLines.captured() as captured:
        yield captured


def test_line_begins_with_time_level_logger_and_event(lines: LogLines) -> None:
    log.warning("it is %s", "late", extra={"status": 503, "batch": "a"})
    (line,) = lines.all()
    assert list(line) == ["time", "level", "logger", "event", "batch", "status"]
    assert line | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "pipeline.test",
        "event": "it is late",
        "batch": "a",
        "status": 503,
    }
    assert line["time"].endswith("Z")


async def test_bound_fields_are_in_every_line_and_yield_to_its_own(lines: LogLines) -> None:
    logs.bind_identity(Identity("monday", 1, 7, 2, "epoch"))
    logs.bind_call("task", {"X-Call-Id": CALL_ID})
    log.info("one")
    log.info("another", extra={"call_id": "of an item"})
    first, second = lines.all()
    identity = {"mode": "task", "batch": "monday", "generation": 1, "task": 7, "attempt": 2, "call_id": CALL_ID}
    assert {name: first[name] for name in identity} == identity
    assert second["call_id"] == "of an item"


NO_CALL_IDS = ("", "a-token-of-somebody", CALL_ID + "0", f" {CALL_ID}", f"{CALL_ID}\n", "g" + CALL_ID[1:], "\udcff")


@pytest.mark.parametrize("sent", NO_CALL_IDS)
async def test_invalid_call_id_is_not_logged(lines: LogLines, sent: str) -> None:
    logs.bind_call("task", {"X-Call-Id": sent})
    log.info("one")
    assert "call_id" not in lines.all()[0]


def test_traceback_is_a_field_of_its_line(lines: LogLines) -> None:
    try:
        json.loads("[\n")
    except ValueError:
        log.exception("unexpected error")
    (line,) = lines.all()
    assert line["event"] == "unexpected error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].splitlines()[-1].startswith("json.decoder.JSONDecodeError: ")


HOSTILE = {"two lines": "two\nlines", "quotes": '"', "no text": "\udcff", "colours": "\x1b[31m", "long": "x" * 100_000}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_is_one_line_of_bounded_length(text: str) -> None:
    # Without a logger: pytest would capture the text, and cannot handle all of these.
    record = logging.makeLogRecord({"name": "pipeline", "levelno": 20, "levelname": "INFO", "msg": text, "error": text})
    line = logs.formatter().format(record)
    assert json.loads(line)["event"] == json.loads(line)["error"] == text[-LONGEST_TEXT:]
    assert line.isascii()
    assert line.isprintable()


def test_extra_fields_of_libraries_are_left_out(lines: LogLines) -> None:
    log.info("one", extra={"request_headers": {"Authorization": "hunter2"}})
    assert "hunter2" not in lines.text


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_level_setting_applies_to_the_pipelines_own_loggers(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root, own = logging.getLogger(), logging.getLogger("pipeline")
    before = (root.level, own.level, root.handlers[:])
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root.handlers[:] = []
    try:
        logs.configure(level)
        for name in ("pipeline.test", "botocore.auth"):
            for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                logging.getLogger(name).log(number, "said")
    finally:
        root.handlers[:] = before[2]
        root.setLevel(before[0])
        own.setLevel(before[1])
    logged = [(line["logger"], line["level"]) for line in map(json.loads, stream.getvalue().splitlines())]
    levels = ["debug", "info", "warning", "error"]
    assert [entry for name, entry in logged if name == "pipeline.test"] == levels[levels.index(level) :]
    assert [entry for name, entry in logged if name == "botocore.auth"] == levels[max(1, levels.index(level)) :]


async def test_background_work_keeps_the_fields_of_its_request(lines: LogLines) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise UnavailableError("Redis is away")

    async def in_a_thread() -> None:
        await asyncio.to_thread(log.info, "counted")

    async with BackgroundTasks.opened() as background:
        for batch in ("a", "b"):
            with bound_contextvars(batch=batch):
                background.start(fails())
                background.start(in_a_thread())
        log.info("outside")
    logged = sorted((line["event"], line.get("batch", "")) for line in lines.all())
    expected = [(text, batch) for text in ("Redis is away", "counted") for batch in ("a", "b")]
    assert logged == [*expected, ("outside", "")]


def test_every_extra_field_in_the_code_is_written() -> None:
    used: set[str] = set()
    for path in modules().values():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func).startswith("log."):
                for extra in (given.value for given in call.keywords if given.arg == "extra"):
                    assert isinstance(extra, ast.Dict)
                    used |= {ast.literal_eval(key) for key in extra.keys if key}
    assert {"error", "batch", "status"} < used
    assert used <= set(FIELDS)
