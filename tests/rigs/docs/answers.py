"""For each call that a page prints: the state of the batch before it, the answer, and what is true after it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson

from pipeline.ledger.states import ENDED
from tests.rigs.docs.commands import Command
from tests.rigs.docs.pages import BATCHES, blocks, pages
from tests.rigs.docs.stage import INPUT, ROWS, Call, Stage
from tests.rigs.waiting import wait_until

Status = dict[str, Any]
Check = Callable[[Stage, Call, Status], Awaitable[None]]
# Commands whose name is not their mode, and commands whose first argument is not a batch.
_MODES = {"submit": "batch", "results": "outputs", "list": "status"}
_WITHOUT_BATCH = {"submit", "list", "doctor"}
STATES = BATCHES.table("state")


@dataclass(frozen=True)
class Intent:
    """The mode and the batch of a printed call."""

    mode: str
    batch: str

    @classmethod
    def of(cls, command: Command) -> Self:
        """Read it from a command line; a call without a batch gets `monday`."""
        *_, words = command.parts()
        if words[0] != "pipeline":
            named = re.search(r"(?:batch=|X-Batch-Id[:=] ?)([\w-]+)", command.text)
            asked = re.search(r"X-Mode[:=] ?(\w+)", command.text)
            return cls(asked[1] if asked else "status", named[1] if named else "monday")
        name, *given = words[1:]
        named = re.search(r"--id[ =]([\w-]+)", command.text)
        batch = given[0] if name not in _WITHOUT_BATCH else named[1] if named else "monday"
        return cls(_MODES.get(name, name), batch)


async def prepare(stage: Stage, intent: Intent) -> Status:
    """Bring a batch into the state that a call needs; return its status, {} if there is no batch yet."""
    assert intent.mode in _CHECKS, f"no way to check what mode {intent.mode} does: {sorted(_CHECKS)}"
    before = {"batch": stage.absent, "outputs": stage.failed, "redrive": stage.failed, "delete": stage.failed}
    await {**before, "resume": stage.paused, "doctor": stage.failed}.get(intent.mode, stage.running)(intent.batch)
    status = {} if intent.mode == "batch" else await stage.cluster.status(intent.batch)
    stage.calls.clear()
    return status


async def check(stage: Stage, intent: Intent, before: Status) -> Call:
    """Check the call and the batch after it; return the call."""
    *_, call = (call for call in stage.calls if call.mode == intent.mode)
    if not call.body:  # a stream
        call = replace(call, body=orjson.dumps(await stage.cluster.status(intent.batch)))
    await _CHECKS[intent.mode](stage, call, before)
    return call


async def _submitted(stage: Stage, call: Call, _before: Status) -> None:
    if call.document.get("dry_run"):
        assert (call.status, call.document["items"]) == (200, len(ROWS))
        assert await stage.cluster.keys(f"{call.document.get('batch_id', 'monday')}/") == []
        return
    assert call.status == 201
    (fields,) = {text for page in pages() for _, text, _ in page.spans() if text.startswith('{"batch_id"')}
    assert set(call.document) == set(re.findall(r"\w+", fields))
    (printed,) = printed_json('"batch_size"')
    assert shape(call.document) == shape(printed)
    assert call.document["batch_size"] == len(ROWS)
    async with stage.cluster.http.get(call.document["status_url"]) as response:
        assert (await response.json())["function"] == "inception"
    batch = call.document["batch_id"]
    assert (await stage.ended(batch))["state"] == "done"
    summary = await stage.cluster.summary(batch)
    assert summary["results"]["count"] + summary["failures"]["count"] == len(ROWS)


async def _status(_stage: Stage, call: Call, _before: Status) -> None:
    assert call.status == 200
    if "batch" not in call.query:
        assert set(call.document) == {"open", "ended"}
        return
    assert set(BATCHES.table("field of the status")) == set(call.document)
    assert call.document["state"] in STATES


async def _outputs(stage: Stage, call: Call, _before: Status) -> None:
    assert call.status == 200
    assert set(call.document) >= {"batch_id", "expires", "summary"}
    link = call.document["summary"]
    async with stage.cluster.http.get(link["url"]) as response:
        body = await response.read()
    assert (response.status, len(body), link["key"]) == (200, link["size"], f"{call.document['batch_id']}.json")
    assert body == await stage.cluster.get(link["key"])
    printed = printed_json('"batchId"')
    assert printed
    assert [shape(document) for document in printed] == [shape(orjson.loads(body))] * len(printed)


async def _cancelled(stage: Stage, call: Call, before: Status) -> None:
    _accepted(call)
    batch = before["batch_id"]
    assert (await stage.ended(batch))["state"] == "cancelled"
    summary = await stage.cluster.summary(batch)
    assert summary["results"]["count"] + summary["failures"]["count"] == len(ROWS)


async def _paused(stage: Stage, call: Call, before: Status) -> None:
    _accepted(call)
    assert await stage.state(before["batch_id"]) == "paused"


async def _resumed(stage: Stage, call: Call, before: Status) -> None:
    _accepted(call)
    assert await stage.state(before["batch_id"]) == "running"


async def _tuned(stage: Stage, call: Call, before: Status) -> None:
    _accepted(call)
    status = await stage.cluster.status(before["batch_id"])
    assert (status["window"], status["rate_limit"]) == (int(call.query["window"]), float(call.query["rate"]))


async def _redriven(stage: Stage, call: Call, before: Status) -> None:
    _accepted(call)
    batch, earlier = before["batch_id"], before["generation"]

    async def again() -> bool:
        status = await stage.cluster.status(batch)
        return status["state"] in ENDED and status["generation"] > earlier

    await wait_until(again)
    assert await stage.cluster.keys(f"{batch}/{earlier}/summary.json")


async def _deleted(stage: Stage, call: Call, before: Status) -> None:
    batch = before["batch_id"]
    assert (call.status, call.document) == (200, {"batch_id": batch, "deleted": True})
    assert await stage.cluster.keys(batch) == []
    assert await stage.state(batch) == ""
    assert await stage.cluster.keys(INPUT) == [INPUT]


async def _examined(_stage: Stage, call: Call, _before: Status) -> None:
    assert (call.status, set(call.document)) == (200, {"checks", "now"})
    failed = [found for found in call.document["checks"] if found["status"] == "failed"]
    assert failed == []


def printed_json(field: str) -> list[Any]:
    """Return the JSON documents of all pages that have a field."""
    return [orjson.loads(block.text) for block in blocks() if block.info == "json" and field in block.text]


def shape(value: object) -> object:
    """Return a document with types for its values, zeros for the digits of its times, and lists cut to their first."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    times = isinstance(value, str) and re.match(r"\d{4}-", value)
    return re.sub(r"\d", "0", str(value)) if times else type(value).__name__


def _accepted(call: Call) -> None:
    assert call.status == 202
    assert {"batch_id", "status_url"} <= set(call.document)


_CHECKS: dict[str, Check] = {
    "batch": _submitted,
    "status": _status,
    "outputs": _outputs,
    "cancel": _cancelled,
    "pause": _paused,
    "resume": _resumed,
    "tune": _tuned,
    "redrive": _redriven,
    "delete": _deleted,
    "doctor": _examined,
}
