"""A run: conversations from a seed, and the checks after them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bench.fuzz.calls import DEADLINE, FUNCTION, INPUTS, call_kinds
from bench.fuzz.raw import raw_steps
from bench.fuzz.sending import Seen, Sender
from bench.fuzz.signed import signed_steps
from bench.kit.leftovers import clean_within

if TYPE_CHECKING:
    from bench.fuzz.sending import Step
    from bench.fuzz.stage import Stage

_KINDS: list[st.SearchStrategy[Step]] = [*call_kinds, *[signed_steps] * 4, raw_steps]
_step: st.SearchStrategy[Step] = st.sampled_from(_KINDS).flatmap(lambda kind: kind)
ENDED = frozenset({"done", "cancelled", "failed"})
LANES = 3
SHARED = 12
ROUND = 20
# A batch that ends by its deadline still writes a summary, and others do so at the same time.
SLACK = 60.0
POLL = 0.1
# aiohttp logs this for bytes that are no HTTP, and for the unread rest of a request. Real errors have a traceback.
_REFUSED = re.compile(r"Error handling request from \S+|Unhandled exception")


@dataclass
class Result:
    """The figures of a run."""

    seed: int
    conversations: int = 0
    seconds: float = 0.0
    seen: Seen = field(default_factory=Seen)


async def run(stage: Stage, number: int, *, rounds: int | None = None, until: float = 0.0) -> Result:
    """Hold conversations from a seed, for some rounds or until a `time.monotonic()`, then check what they left."""
    result, began = Result(number), time.monotonic()
    done = 0
    while done < rounds if rounds is not None else time.monotonic() < until:
        await asyncio.to_thread(_round, stage, result, number * 10_000 + done)
        done += 1
    result.seconds = time.monotonic() - began
    result.seen.violations += await _aftermath(stage, result.seen)
    return result


def _round(stage: Stage, result: Result, number: int) -> None:
    """Hold conversations, three steps at once. Some share their batches, so that one meets what another left."""
    errors: list[Exception] = []

    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(_step, min_size=8, max_size=24))
    def hold(steps: list[Step]) -> None:
        result.conversations += 1
        sender = Sender(stage, result.seen, f"fuzz-{result.seed}-{result.conversations // SHARED:05d}")
        # hypothesis would print megabytes of steps with an error that is raised here.
        try:
            list(pool.map(sender.send, steps))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    with ThreadPoolExecutor(LANES) as pool:
        hold()
    if errors:
        raise errors[0]


async def _aftermath(stage: Stage, seen: Seen) -> list[str]:
    """Return the violations after the conversations: batches that do not end, leftovers, a function that broke."""
    problems = []
    for batch in sorted(seen.accepted):
        problems += await _end(stage, batch, seen)
    problems += await _canary(stage)
    problems += await clean_within(SLACK, stage.bucket, stage.redis)
    stray = [key for key in await stage.bucket.keys("") if not _is_known(key, seen.accepted)]
    if stray:
        problems.append(f"the bucket holds objects of no batch: {stray[:10]}")
    if restarts := stage.stack.restarts("pipeline"):
        problems.append(f"the function's process ended {restarts} times")
    return problems + log_problems(stage.log, stage.token.removeprefix("Bearer "))


def log_problems(log: str, token: str) -> list[str]:
    """Return the problems in the log of the function, each once."""
    problems = sorted({problem for line in log.splitlines() if (problem := _wrong_with(line))})
    return problems + ["the token is in the log"] * (token in log)


def _wrong_with(line: str) -> str:
    """Return the problem with a line of the log, '' for none; a line that is no event is one."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return f"logged: {line}"
    refused = event["logger"] == "aiohttp.server" and _REFUSED.fullmatch(event["event"])
    if "exception" not in event and (refused or event["level"] not in {"error", "critical"}):
        return ""
    text = " ".join([event["level"], event["logger"], event["event"], *event.get("exception", "").splitlines()[-1:]])
    return f"logged: {text}"


async def _end(stage: Stage, batch: str, seen: Seen) -> list[str]:
    limit = time.monotonic() + DEADLINE + SLACK
    if await _outlives(stage, batch):
        await stage.call("cancel", batch)
    state: str = ""
    while time.monotonic() < limit:
        status, document = await stage.call("status", batch)
        state = document.get("state", "")
        if state in ENDED or (status == 404 and batch in seen.deleted):  # noqa: PLR2004
            return []
        await asyncio.sleep(POLL)
    return [f"batch {batch} does not end: {status} {json.dumps(document)[:600]}"]


async def _outlives(stage: Stage, batch: str) -> bool:
    """Return whether the deadline of the batch is later than this run waits."""
    stored = await stage.bucket.get(f"{batch}/spec.json")
    return stored is not None and json.loads(stored)["fields"].get("deadline", 86400) > DEADLINE


async def _canary(stage: Stage) -> list[str]:
    """Return the violations of one more batch, which has to run as usual."""
    batch = f"canary-{time.monotonic_ns()}"
    document: dict[str, Any] = {}
    try:
        status, document = await stage.call("batch", batch, input="rows.csv", function=FUNCTION, deadline=DEADLINE)
        limit = time.monotonic() + DEADLINE + SLACK
        while document.get("state") not in ENDED and status < 400 and time.monotonic() < limit:  # noqa: PLR2004
            await asyncio.sleep(POLL)
            status, document = await stage.call("status", batch)
        done = (document.get("state"), document.get("succeeded")) == ("done", 7)
        deleted = done and (await stage.call("delete", batch))[0]
    except ClientError as error:
        return [f"the canary: {error}"]
    return [] if deleted == 200 else [f"the canary: {status} {document}"]  # noqa: PLR2004


def _is_known(key: str, accepted: set[str]) -> bool:
    folder, _, rest = key.partition("/")
    if folder in {"open", "ended"}:
        return rest.removeprefix("pipeline/") in accepted
    return key in INPUTS or folder in accepted or key.removesuffix(".json") in accepted
