"""Single questions: each runs one plan, or two, and compares figures with bounds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.chaos.plan import END, Plan, Rules, Step
from bench.chaos.run import Result, Row, run
from bench.chaos.stage import FOREIGN_SECONDS, SILENCE, TASK_TIMEOUT, stage

OPTIONS = {"window": 128, "concurrency": 8, "attempts": 3, "timeout": 1, "deadline": 1_800, "inline_limit": 65_536}
SEGMENT = 1_000
WORKERS = 12
FAILED = 37

# The name of a figure, the figure, the least and the most that it may be.
Bound = tuple[str, int, int, float]


async def wipe(keep: Path, items: int) -> Row:
    """Redis loses everything past half of the items: at most a segment and the window are called again."""
    # Just before the next segment would be written, when the most is in Redis alone.
    place = items // 2 + SEGMENT * 9 // 10
    async with stage({"CHAOS_SEGMENT": str(SEGMENT)}) as one:
        result = await run(one, _plan(items, [Step("lose-redis", "callback", place, 0.3)]), "wipe", keep)
    most = SEGMENT + OPTIONS["window"]
    text = f"Redis lost everything at {place:,} of {items:,}; {result.repeated:,} calls repeated, bound {most:,}"
    return _verdict(result, "wipe", text, ("repeated calls", result.repeated, 0, most))


async def drops(keep: Path, items: int) -> Row:
    """Three callbacks in ten are lost; compared with the same batch without a loss."""
    async with stage() as one:
        quiet = await run(one, _plan(items), "no-drops", keep)
        lossy = await run(one, _plan(items, shares={"drop-callback": 0.3}), "drops", keep)
    dropped = lossy.faults.get("drop-callback", 0)
    text = (
        f"{dropped:,} callbacks dropped: {lossy.seconds:.1f} s and {lossy.repeated:,} repeated calls; "
        f"without drops {quiet.seconds:.1f} s and {quiet.repeated:,}; a message counts as lost after {SILENCE:g} s"
    )
    wrong = ("violations without drops", len(quiet.violations), 0, 0)
    return _verdict(lossy, "drops", text, wrong, ("dropped callbacks", dropped, items // 5, items))


async def backlog(keep: Path, items: int) -> Row:
    """Slow messages of another function hold the queue for ten task timeouts: nothing is lost or runs again."""
    seconds = 10 * TASK_TIMEOUT
    step = Step("backlog", "callback", items // 3, WORKERS * seconds / FOREIGN_SECONDS)
    async with stage(workers=WORKERS, redelivery=600.0) as one:
        result = await run(one, _plan(items, [step]), "backlog", keep)
    enqueued = Counter(seen.item for seen in result.evidence.seen if seen.kind == "enqueue" and "task" in seen.item)
    # An attempt past the first is a task that was thought lost, or a probe; retried counts the former.
    again, probes = enqueued.total() - items, int(result.seconds // SILENCE)
    retried = result.evidence.status.get("retried", 0)
    text = (
        f"{step.value:g} foreign messages of {FOREIGN_SECONDS:g} s held {WORKERS} queue-workers for {seconds:g} s; "
        f"{again} releases again ({retried} as lost), at most {probes} probes allowed, {result.repeated} repeated calls"
    )
    # Without a probe the queue was never silent for long.
    return _verdict(
        *(result, "backlog", text), ("releases again", again, 1, probes), ("tasks declared lost", retried, 0, 0)
    )


async def redrive(keep: Path, items: int) -> Row:
    """Some items fail until the model is healed; a redrive then calls exactly these."""
    gap = items // FAILED
    rows = [f"switch {n}" if n % gap == 0 and n < FAILED * gap else f"good {n}" for n in range(items)]
    options = {**OPTIONS, "chunk": 100, "timeout": 30}
    plan = Plan(0, rows, options, by_key=True, steps=[Step("redrive", END, 1)], rules=Rules(0, {}))
    # Nothing is lost here: a machine that is slow is not to count as a loss.
    async with stage({"task_timeout": "40", "ack_wait": "20"}, redelivery=60.0) as one:
        result = await run(one, plan, "redrive", keep)
    first = result.first or result.evidence
    called = len(result.evidence.calls) - len(first.calls)
    before, after = (evidence.status.get("failed", items) for evidence in (first, result.evidence))
    text = f"{before} of {items:,} failed; the redrive made {called} calls, then {after} were failed"
    figures = {"failed items": (before, FAILED), "calls of the redrive": (called, FAILED), "then failed": (after, 0)}
    return _verdict(result, "redrive", text, *((name, one, due, due) for name, (one, due) in figures.items()))


# Each with the number of items that it has by default.
SCENARIOS = {wipe: 10_000, drops: 2_000, backlog: 600, redrive: 10_000}


def _plan(items: int, steps: Sequence[Step] = (), shares: Mapping[str, float] | None = None) -> Plan:
    rows = [f"good {number}" for number in range(items)]
    rules = Rules(0, dict(shares or {}))
    return Plan(0, rows, {**OPTIONS, "chunk": 1}, by_key=True, steps=list(steps), rules=rules)


def _verdict(result: Result, name: str, text: str, *bounds: Bound) -> Row:
    """Return the row of a scenario; its violations are those of the checker and of the bounds."""
    fired = ("steps fired", len(result.fired), len(result.plan.steps), len(result.plan.steps))
    outside = [
        f"{figure} {what}, the bounds are {least} and {most}"
        for what, figure, least, most in (fired, *bounds)
        if not least <= figure <= most
    ]
    figures = {column: result.row()[column] for column in ("items", "seconds", "model_calls", "repeated_calls")}
    violations = " | ".join([*result.violations, *outside]) or None
    return {"scenario": name, **figures, "text": text, "violations": violations}
