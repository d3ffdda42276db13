"""One run: submit a batch, let its plan happen, gather and judge; and many runs, on several stacks side by side."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.chaos.checker import OK, Evidence, check, never_ran, time_was_up
from bench.chaos.director import Director
from bench.chaos.plan import Plan
from bench.chaos.stage import Stage, User, stage
from bench.kit.callbacks import long_callbacks
from bench.kit.leftovers import clean_within
from bench.kit.stack import open_redis
from pipeline.client import CallError

# The sweep removes what a killed replica left, one lease later.
CLEANED_WITHIN = 20.0

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One run, judged. `fired` are the steps in their order, `faults` counts steps and rules by kind.

    `first` is the batch as it was before its redrive, None for one that was not redriven.
    """

    plan: Plan
    evidence: Evidence
    fired: list[str]
    faults: dict[str, int]
    seconds: float
    violations: list[str]
    first: Evidence | None = None

    @property
    def repeated(self) -> int:
        """Successful calls for items that had succeeded before: the work that the faults made run again."""
        well = [seen.item for seen in self.evidence.seen if seen.kind == "call" and seen.status == OK]
        return max(0, len(well) - len(set(well)))

    def row(self) -> Row:
        """Return the run as a row; `faults` are `kind=times` with spaces between them."""
        evidence = self.evidence
        failures = evidence.entries("failures")
        never = sum(map(never_ran, failures))
        return {
            "seed": self.plan.seed,
            "items": len(self.plan.rows),
            "steps_planned": len(self.plan.steps),
            "steps_fired": len(self.fired),
            "faults": " ".join(f"{kind}={times}" for kind, times in sorted(self.faults.items())),
            "state": evidence.status.get("state"),
            "succeeded": evidence.status.get("succeeded"),
            "failed": len(failures) - never,
            "time_up": sum(time_was_up(entry, self.plan.options["timeout"]) for entry in failures),
            "never_run": never,
            "generations": evidence.status.get("generation", 0) + 1,
            "redriven": int(self.first is not None),
            "model_calls": len(evidence.calls),
            "repeated_calls": self.repeated,
            "seconds": round(self.seconds, 1),
            "violations": " | ".join(self.violations) or None,
        }


async def run(stage: Stage, plan: Plan, name: str, keep: Path) -> Result:
    """Run a plan under the batch id `name`; the evidence of violations goes into `keep`/`name`."""
    await stage.reset()
    user = User(stage, name, plan)
    await user.prepare()
    director = Director(user)
    started = time.monotonic()
    director.start()
    try:
        await user.submit()
        evidence = await _follow(user, director)
        violations, first = check(evidence), None
        if plan.redrive and not violations:
            first = evidence
            # The `switch` items succeed from now on.
            (stage.folder / "switch").touch()
            await user.redrive()
            evidence = await _follow(user, director, begun=first.status["generation"] + 1)
            violations = [f"after the redrive: {violation}" for violation in check(evidence)]
    finally:
        await director.stop()
    seconds = time.monotonic() - started
    result = Result(plan, evidence, director.fired, dict(director.faults), seconds, violations, first)
    if result.violations:
        _keep(user, result, keep / name)
        # A batch that hangs would disturb the next run.
        with suppress(CallError):
            await user.batch.cancel()
    stage.stack.gateway.wipe_queue()
    return result


async def _follow(user: User, director: Director, begun: int = 0) -> Evidence:
    """Wait for the end of the batch and of the fault under way, and gather the evidence."""
    status = await user.follow()
    await director.settle()
    known = Evidence(
        *(user.plan.rows, user.plan.options, status, None, None, [], list(director.seen)),
        stopped=user.stopped,
        cancelled=user.cancelled,
        problems=tuple(user.problems),
        begun=begun,
    )
    return await _gather(user.stage, user.batch.id, known)


async def _gather(stage: Stage, batch: str, known: Evidence) -> Evidence:
    """Read S3, Redis and the logs of an ended batch, as soon as nothing is left or the time is over."""
    async with stage.bucket() as bucket, open_redis(stage.stack) as redis:
        summary = json.loads(await bucket.get(f"{batch}.json") or b"null")
        left = tuple(await clean_within(CLEANED_WITHIN, bucket, redis, batch))
        known = known.but(summary=summary, left=left)
        keys = [entry["resultRef"] for entry in known.entries("results") if entry.get("resultRef")]
        objects = {key: await bucket.get(key) or b"" for key in keys}
        later = json.loads(await bucket.get(f"{batch}.json") or b"null")
    log = stage.folder / "calls.ndjson"
    calls = [tuple(json.loads(line)) for line in (log.read_text() if log.exists() else "").splitlines()]
    callbacks = tuple(long_callbacks(stage.folder / "callbacks"))
    return known.but(later=later, objects=objects, calls=calls, callbacks=callbacks)


def _keep(user: User, result: Result, folder: Path) -> None:
    """Write the run, and the logs of its stack, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    evidence = asdict(result.evidence) | {"objects": sorted(result.evidence.objects)}
    documents = {"plan": asdict(result.plan), "fired": result.fired, **evidence}
    for name, document in {**documents, "violations": result.violations}.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))
    for file in user.stage.stack.directory.glob("*.log"):
        shutil.copy(file, folder)


async def run_all(
    plans: Sequence[Plan], parallel: int, keep: Path, done: Callable[[Result], None], **settings: str
) -> None:
    """Run the plans on `parallel` stacks with these settings; raises LocalError or TimeoutError for one that breaks."""
    waiting = list(reversed(plans))

    async def work() -> None:
        while waiting:
            async with stage(settings) as one:
                violations: list[str] = []
                # What is left of a batch with violations could disturb the next one.
                while waiting and not violations:
                    plan = waiting.pop()
                    result = await run(one, plan, f"chaos-{plan.seed}", keep)
                    violations = result.violations
                    done(result)

    await asyncio.gather(*(work() for _ in range(min(parallel, len(plans)))))
