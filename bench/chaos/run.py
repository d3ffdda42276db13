"""One run: submit a batch, let its plan happen, gather and judge; and many runs, on several stacks side by side."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.chaos.checker import check, time_was_up
from bench.chaos.director import Director
from bench.chaos.evidence import OK, Evidence, never_ran
from bench.chaos.plan import Plan
from bench.chaos.stage import SETTINGS, Stage, stage
from bench.chaos.user import HANG, POLL, User
from bench.kit.callbacks import long_callbacks
from bench.kit.leftovers import leftovers
from bench.kit.stack import open_redis
from pipeline.client import CallError
from pipeline.local.demo.bucket import Bucket

# Sweeps after which nothing that was frozen still writes.
LATE = 20
# What is under a batch's id besides its outputs.
_PARTS = ("input", "segments/", "refs/", "spec.json", "status.json")

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """One run, judged. `fired` are the steps in their order, `faults` counts steps and rules by kind.

    `first` is the batch as it was at its first end, None where nothing followed on that.
    """

    plan: Plan
    evidence: Evidence
    fired: list[str]
    faults: dict[str, int]
    seconds: float
    violations: list[str]
    first: Evidence | None = None
    ends: int = 1

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
            "redriven": self.ends - 1,
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
        try:
            ends = await _follow(user, director)
        except CallError as error:
            # A request that must be answered was not.
            user.problems.append(f"a request fails: {error}")
            ends = [await _gather(user, director, {}, frozenset())]
        evidence = ends[-1]
        if not user.problems:
            await user.delete()
            evidence = evidence.but(remains=await _remains(stage, name), problems=tuple(user.problems))
        violations = [f"before end {number}: {text}" for number, one in enumerate(ends[:-1], 2) for text in check(one)]
        violations += check(evidence)
    finally:
        await director.stop()
    seconds = time.monotonic() - started
    first = ends[0] if len(ends) > 1 else None
    result = Result(plan, evidence, director.fired, dict(director.faults), seconds, violations, first, len(ends))
    if result.violations:
        _keep(user, result, keep / name)
        # A batch that hangs would disturb the next run.
        with suppress(CallError):
            await user.batch.cancel()
    stage.stack.gateway.wipe_queue()
    return result


async def _follow(user: User, director: Director) -> list[Evidence]:
    """Wait for each end of the batch, and gather the evidence of it; nothing follows on the last one."""
    ends = list[Evidence]()
    begun, redriven = 0, frozenset[tuple[str, str]]()
    while True:
        status, requests = await user.follow(), user.requests
        if user.deleted:
            break
        if user.begun != begun:
            begun, redriven = user.begun, ends[-1].failed_calls if ends and user.begun else frozenset()
        evidence = await _gather(user, director, status, redriven)
        if user.requests != requests:
            # It may be of two ends.
            continue
        ends.append(evidence)
        if user.problems:
            break
        if not await director.at_end():
            await director.settle()
            if _end(await user.follow()) == _end(status):
                ends[-1] = await _gather(user, director, status, redriven, over=True)
                break
    await director.settle()
    return ends


def _end(status: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(status.get(name) for name in ("state", "generation", "ended"))


async def _gather(
    user: User, director: Director, status: dict[str, Any], redriven: frozenset[tuple[str, str]], *, over: bool = False
) -> Evidence:
    """Read S3, Redis and the logs of an ended batch; for its last end once nothing is left, or many sweeps later."""
    stage, batch, left = user.stage, user.batch.id, list[str]()
    async with stage.bucket() as bucket, open_redis(stage.stack) as redis:
        summary = json.loads(await bucket.get(f"{batch}.json") or b"null")
        waits = stage.sweeps() + HANG
        while over and not user.problems:
            status = msgspec.to_builtins(await user.batch.status())
            left = [f"{one['kind']} is still due" for one in status["notifications"] if one["state"] == "due"]
            left += await leftovers(bucket, redis, batch)
            if not left or stage.sweeps() > waits:
                break
            await asyncio.sleep(POLL)
        log = stage.folder / "calls.ndjson"
        calls = [tuple(json.loads(line)) for line in (log.read_text() if log.exists() else "").splitlines()]
        evidence = Evidence(
            *(user.plan.rows, user.plan.options, status, summary, None, calls, list(director.seen)),
            notices=tuple(stage.notices),
            left=tuple(left),
            stopped=user.stopped,
            cancelled=user.cancelled,
            problems=tuple(user.problems),
            errors=tuple(stage.unexpected_errors()),
            callbacks=tuple(long_callbacks(stage.folder / "callbacks")),
            lost=user.lost,
            over=over,
            begun=user.begun,
            window=user.window,
            redriven=redriven,
        )
        references = [entry["resultRef"] for entry in evidence.entries("results") if entry.get("resultRef")]
        objects = {key: await bucket.get(key) or b"" for key in references}
        outputs = await _outputs(bucket, batch)
        return evidence.but(
            objects=objects, outputs=outputs, later=json.loads(await bucket.get(f"{batch}.json") or b"null")
        )


async def _outputs(bucket: Bucket, batch: str) -> dict[str, bytes]:
    """Read the outputs of a batch and of its generations, by their names behind its id."""
    names = [key.removeprefix(f"{batch}/") for key in await bucket.keys(f"{batch}/")]
    return {name: await bucket.get(f"{batch}/{name}") or b"" for name in names if not name.startswith(_PARTS)}


async def _remains(stage: Stage, batch: str) -> tuple[str, ...]:
    """Return what a deletion has left: late writers have time to write, and the sweep to remove that."""
    began = stage.sweeps()
    async with stage.bucket() as bucket:
        while True:
            left = [*await bucket.keys(f"{batch}/"), *await bucket.keys(f"{batch}.json")]
            if stage.sweeps() > began + (HANG if left else LATE):
                return tuple(f"{key} is left after the deletion" for key in left)
            await asyncio.sleep(POLL)


def _keep(user: User, result: Result, folder: Path) -> None:
    """Write the run, and the logs of its stack, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    evidence = asdict(result.evidence) | {
        name: sorted(getattr(result.evidence, name)) for name in ("objects", "outputs", "redriven")
    }
    documents = {"plan": asdict(result.plan), "fired": result.fired, **evidence}
    for name, document in {**documents, "violations": result.violations}.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))
    for file in user.stage.stack.directory.glob("*.log"):
        shutil.copy(file, folder)


async def run_all(
    plans: Sequence[Plan],
    parallel: int,
    keep: Path,
    done: Callable[[Result], None],
    *,
    older: Path | None = None,
    settings: Mapping[str, str] = SETTINGS,
) -> None:
    """Run the plans on `parallel` stacks, as `stage` starts them; raises LocalError or TimeoutError."""
    waiting = list(reversed(plans))

    async def work() -> None:
        while waiting:
            async with stage(settings, older=older) as one:
                violations: list[str] = []
                # What is left of a batch with violations could disturb the next one.
                while waiting and not violations:
                    plan = waiting.pop()
                    result = await run(one, plan, f"chaos-{plan.seed}", keep)
                    violations = result.violations
                    done(result)

    await asyncio.gather(*(work() for _ in range(min(parallel, len(plans)))))
