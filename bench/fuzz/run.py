"""A run: conversations from a seed, and the checks after them."""

import asyncio
import contextlib
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bench.fuzz.calls import DEADLINE, FUNCTION, INPUTS, call_kinds
from bench.fuzz.raw import raw_steps
from bench.fuzz.sending import Seen, Sender, Step
from bench.fuzz.signed import signed_steps
from bench.fuzz.stage import Stage
from bench.kit.leftovers import clean_within
from pipeline.client import CallError, RefusedError

_KINDS: list[st.SearchStrategy[Step]] = [*call_kinds, *[signed_steps] * 4, raw_steps]
_step: st.SearchStrategy[Step] = st.sampled_from(_KINDS).flatmap(lambda kind: kind)
LANES = 3
SHARED = 12
ROUND = 20
# A batch that ends by its deadline still writes a summary, and others do so at the same time.
SLACK = 60.0
POLL = 0.1
# aiohttp logs this for bytes that are no HTTP, and for the unread rest of a request. Real errors have a traceback.
_REFUSED = re.compile(r"Error handling request from \S+|Unhandled exception")


async def run(stage: Stage, number: int, *, rounds: int | None = None, until: float = 0.0) -> Seen:
    """Hold conversations from a seed, for some rounds or until a `time.monotonic()`, then check what they left."""
    seen, done = Seen(), 0
    while done < rounds if rounds is not None else time.monotonic() < until:
        await asyncio.to_thread(_round, stage, seen, number, number * 10_000 + done)
        done += 1
    seen.violations += await _aftermath(stage, seen)
    return seen


def _round(stage: Stage, seen: Seen, number: int, drawn_from: int) -> None:
    """Hold conversations, three steps at once. Some share their batches, so that one meets what another left."""
    errors: list[Exception] = []

    @seed(drawn_from)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(_step, min_size=8, max_size=24))
    def hold(steps: list[Step]) -> None:
        seen.conversations += 1
        sender = Sender(stage, seen, f"fuzz-{number}-{seen.conversations // SHARED:05d}")
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
    problems += [f"a callback of the event loop took {line}" for line in stage.long_callbacks()]
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


async def _end(stage: Stage, name: str, seen: Seen) -> list[str]:
    """Wait for the end of a batch; one whose deadline is later than that is cancelled."""
    batch = stage.pipeline.batch(name)
    specification = json.loads(await stage.bucket.get(f"{name}/spec.json") or b'{"fields": {}}')["fields"]
    try:
        if specification.get("deadline", 86400) > DEADLINE:
            with contextlib.suppress(RefusedError):
                await batch.cancel()
        await asyncio.wait_for(batch.wait(POLL), DEADLINE + SLACK)
    except TimeoutError:
        return [f"batch {name} does not end: {await batch.status()}"[:600]]
    except CallError as error:
        deleted = name in seen.deleted and isinstance(error, RefusedError) and error.status == 404  # noqa: PLR2004
        return [] if deleted else [f"batch {name}: {error}"]
    return []


async def _canary(stage: Stage) -> list[str]:
    """Return the violations of one more batch, which has to run as usual."""
    try:
        batch = await stage.pipeline.submit("rows.csv", function=FUNCTION, deadline=DEADLINE)
        last = await asyncio.wait_for(batch.wait(POLL), DEADLINE + SLACK)
        deleted = await batch.delete()
    except (CallError, TimeoutError) as error:
        return [f"the canary: {error!r}"]
    return [] if (last.state, last.succeeded, deleted) == ("done", 7, True) else [f"the canary: {last}"]


def _is_known(key: str, accepted: set[str]) -> bool:
    folder, _, rest = key.partition("/")
    # The marks of deleted batches stay for a while, also those of submissions that broke off.
    if folder == "deleted":
        return True
    if folder in {"open", "ended", "owners"}:
        return rest.removeprefix("pipeline/") in accepted
    return key in INPUTS or folder in accepted or key.removesuffix(".json") in accepted
