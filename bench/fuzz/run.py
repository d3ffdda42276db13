"""A run: conversations from a seed, and the checks after them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from bench.fuzz.sending import Seen, Sender
from bench.fuzz.strategies import conversations
from bench.fuzz.values import DEADLINE, INPUTS, valid_fields
from bench.fuzz.wire import NoAnswerError
from bench.kit.leftovers import clean_within
from pipeline.local.demo.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.fuzz.stage import Stage
    from bench.fuzz.steps import Step

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
    loop = asyncio.get_running_loop()

    def converse(steps: list[Step]) -> None:
        result.conversations += 1
        # Some conversations share their batches, so that one meets what another left.
        prefix = f"fuzz-{number}-{result.conversations // SHARED:05d}"
        asyncio.run_coroutine_threadsafe(_converse(Sender(stage, result.seen, prefix), steps), loop).result()

    done = 0
    while done < rounds if rounds is not None else time.monotonic() < until:
        await asyncio.to_thread(_round, converse, number * 10_000 + done)
        done += 1
    result.seconds = time.monotonic() - began
    result.seen.violations += await _aftermath(stage, result.seen)
    return result


def _round(converse: Callable[[list[Step]], None], number: int) -> None:
    @seed(number)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(conversations)
    def hold(steps: list[Step]) -> None:
        # hypothesis would print megabytes of steps with an error that is raised here.
        try:
            converse(steps)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    errors: list[Exception] = []
    hold()
    if errors:
        raise errors[0]


async def _converse(sender: Sender, steps: list[Step]) -> None:
    async def lane(number: int) -> None:
        for step in steps[number::LANES]:
            await sender.send(step)

    await asyncio.gather(*map(lane, range(LANES)))


async def _aftermath(stage: Stage, seen: Seen) -> list[str]:
    """Return the violations after the conversations: batches that do not end, leftovers, a function that broke."""
    problems = []
    for batch in sorted(seen.accepted):
        problems += await _end(stage, batch, seen)
    problems += await _canary(stage)
    problems += await clean_within(SLACK, Bucket(stage.s3, stage.stack.s3.bucket), stage.redis)
    stray = [key for key in await stage.objects() if not _is_known(key, seen.accepted)]
    if stray:
        problems.append(f"the bucket holds objects of no batch: {stray[:10]}")
    if restarts := stage.stack.restarts("pipeline"):
        problems.append(f"the function's process ended {restarts} times")
    return problems + log_problems(stage.log, stage.token.decode())


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
        await stage.call(b"cancel", batch)
    state: str = ""
    while time.monotonic() < limit:
        status, document = await stage.call(b"status", batch)
        state = document.get("state", "")
        if state in ENDED or (status == 404 and batch in seen.deleted):  # noqa: PLR2004
            return []
        await asyncio.sleep(POLL)
    return [f"batch {batch} does not end: {status} {json.dumps(document)[:600]}"]


async def _outlives(stage: Stage, batch: str) -> bool:
    """Return whether the deadline of the batch is later than this run waits."""
    if f"{batch}/spec.json" not in await stage.objects(f"{batch}/spec.json"):
        return False
    answer = await stage.s3.get_object(Bucket=stage.stack.s3.bucket, Key=f"{batch}/spec.json")
    submission: dict[str, Any] = json.loads(await answer["Body"].read())
    return bool(submission["fields"].get("deadline", 86400) > DEADLINE)


async def _canary(stage: Stage) -> list[str]:
    """Return the violations of one more batch, which has to run as usual."""
    batch = f"canary-{time.monotonic_ns()}"
    document: dict[str, Any] = {}
    try:
        status, document = await stage.call(b"batch", batch, body=json.dumps(valid_fields()).encode())
        limit = time.monotonic() + DEADLINE + SLACK
        while document.get("state") not in ENDED and status < 400 and time.monotonic() < limit:  # noqa: PLR2004
            await asyncio.sleep(POLL)
            status, document = await stage.call(b"status", batch)
        done = (document.get("state"), document.get("succeeded")) == ("done", 7)
        deleted = done and (await stage.call(b"delete", batch))[0]
    except NoAnswerError as error:
        return [f"the canary: {error}"]
    return [] if deleted == 200 else [f"the canary: {status} {document}"]  # noqa: PLR2004


def _is_known(key: str, accepted: set[str]) -> bool:
    folder, _, rest = key.partition("/")
    if folder in {"open", "ended"}:
        return rest.removeprefix("pipeline/") in accepted
    return key in INPUTS or folder in accepted or key.removesuffix(".json") in accepted
