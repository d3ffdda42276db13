"""Single questions: each runs one plan, or two, and compares a figure with a bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.chaos.plan import Plan, Rules, Step
from bench.chaos.run import Result, run
from bench.chaos.stage import FOREIGN_SECONDS, SILENCE, TASK_TIMEOUT, stage

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 1_800
OPTIONS = {"window": 128, "concurrency": 8, "attempts": 3, "timeout": 1, "deadline": DEADLINE, "inline_limit": 65_536}
SEGMENT = 1_000
WINDOW = 128
WORKERS = 12


@dataclass(frozen=True)
class Verdict:
    """The figures of a scenario; `violations` are those of the checker and of the bound."""

    name: str
    items: int
    seconds: float
    model_calls: int
    repeated_calls: int
    text: str
    violations: list[str]


async def wipe(keep: Path, items: int) -> Verdict:
    """Redis loses everything past half of the items: at most a segment and the window are called again."""
    # Just before the next segment would be written, when the most is in Redis alone.
    place = items // 2 + SEGMENT * 9 // 10
    steps = [Step("lose-redis", "callback", place, 0.3)]
    async with stage({"CHAOS_SEGMENT": str(SEGMENT)}) as one:
        result = await run(one, _plan(_good(items), chunk=1, steps=steps), "wipe", keep)
    bound = SEGMENT + WINDOW
    text = f"Redis lost everything at {place:,} of {items:,}; {result.repeated:,} calls repeated, bound {bound:,}"
    return _verdict("wipe", result, text, _over("repeated calls", result.repeated, bound) + _all_fired(result))


async def drops(keep: Path, items: int) -> Verdict:
    """Three callbacks in ten are lost; compared with the same batch without a loss."""
    async with stage() as one:
        quiet = await run(one, _plan(_good(items), chunk=1), "no-drops", keep)
        lossy = await run(one, _plan(_good(items), chunk=1, shares={"drop-callback": 0.3}), "drops", keep)
    dropped = lossy.faults.get("drop-callback", 0)
    text = (
        f"{dropped:,} callbacks dropped: {lossy.seconds:.1f} s and {lossy.repeated:,} repeated calls; "
        f"without drops {quiet.seconds:.1f} s and {quiet.repeated:,}; a message counts as lost after {SILENCE:g} s"
    )
    return _verdict("drops", lossy, text, quiet.violations + _under("dropped callbacks", dropped, items // 5))


async def backlog(keep: Path, items: int) -> Verdict:
    """Slow messages of another function hold the queue for ten task timeouts: nothing is lost or runs again."""
    seconds = 10 * TASK_TIMEOUT
    async with stage(workers=WORKERS, redelivery=600.0) as one:
        step = Step("backlog", "callback", items // 3, WORKERS * seconds / FOREIGN_SECONDS)
        result = await run(one, _plan(_good(items), chunk=1, steps=[step]), "backlog", keep)
    enqueued = Counter(seen.item for seen in result.evidence.seen if seen.kind == "enqueue" and "task" in seen.item)
    # An attempt past the first is a task that was thought lost, or a probe; retried counts the former.
    again, probes = sum(enqueued.values()) - items, int(result.seconds // SILENCE)
    retried = result.evidence.status.get("retried", 0)
    text = (
        f"{step.value:g} foreign messages of {FOREIGN_SECONDS:g} s held {WORKERS} queue-workers for {seconds:g} s; "
        f"{again} releases again ({retried} as lost), at most {probes} probes allowed, {result.repeated} repeated calls"
    )
    # Without a probe the queue was never silent for long.
    broken = _under("releases again", again, 1)
    broken += _over("tasks declared lost", retried, 0) + _over("releases again", again, probes)
    return _verdict("backlog", result, text, broken + _all_fired(result))


async def redrive(keep: Path, items: int, failed: int = 37) -> Verdict:
    """Some items fail until the model is healed; a redrive then calls exactly these."""
    gap = items // failed
    rows = [f"switch {n}" if n % gap == 0 and n < failed * gap else f"good {n}" for n in range(items)]
    # Nothing is lost here: a machine that is slow is not to count as a loss.
    async with stage({"task_timeout": "40", "ack_wait": "20"}, redelivery=60.0) as one:
        plan = _plan(rows, chunk=100)
        patient = replace(plan, options={**plan.options, "timeout": 30}, redrive=True)
        result = await run(one, patient, "redrive", keep)
    if result.first is None:
        return _verdict("redrive", result, "there was no redrive", [])
    called = len(result.evidence.calls) - len(result.first.calls)
    before, after = (evidence.status.get("failed") for evidence in (result.first, result.evidence))
    text = f"{before} of {items:,} failed; the redrive made {called} calls, then {after} were failed"
    broken = [] if (before, after) == (failed, 0) else [f"{failed} were to fail, then none"]
    if called != failed:
        broken.append(f"the redrive made {called} calls for {failed} failed items")
    return _verdict("redrive", result, text, broken)


# Each with the number of items that it has by default.
SCENARIOS = {wipe: 10_000, drops: 2_000, backlog: 600, redrive: 10_000}


def _good(items: int) -> list[str]:
    return [f"good {number}" for number in range(items)]


def _plan(
    rows: list[str], chunk: int, *, steps: list[Step] | None = None, shares: dict[str, float] | None = None
) -> Plan:
    return Plan(0, rows, {**OPTIONS, "chunk": chunk}, by_key=True, steps=steps or [], rules=Rules(0, shares or {}))


def _verdict(name: str, result: Result, text: str, broken: list[str]) -> Verdict:
    evidence = result.evidence
    figures = (len(result.plan.rows), result.seconds, len(evidence.calls), result.repeated)
    return Verdict(name, *figures, text, [*result.violations, *broken])


def _over(what: str, figure: int, bound: int) -> list[str]:
    return [f"{figure} {what}, the bound is {bound}"] if figure > bound else []


def _under(what: str, figure: int, least: int) -> list[str]:
    return [f"only {figure} {what}: the scenario did not happen"] if figure < least else []


def _all_fired(result: Result) -> list[str]:
    return _under("steps fired", len(result.fired), len(result.plan.steps))
