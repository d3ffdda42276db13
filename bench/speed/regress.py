"""Has the pipeline become slower? `python -m bench.speed.regress`: a minute on a local stack, exit code 1 if it has."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.kit.cli import errors_in_one_line, fail, new_app, run_to_end
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import terminal_table
from bench.speed.parallelism.figures import BARE
from bench.speed.parallelism.platforms import local
from bench.speed.parallelism.sweep import Sweep, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from bench.speed.parallelism.figures import Run

RECORD = RESULTS / "regress.json"
WAYS = (BARE, "chunk 1", "direct", "chunk 10")
PARALLELISM = 4
MODEL_MS = 0
MOST_SLACK = 0.5

Repeats = Annotated[int, typer.Option(min=3, help="Batches a way; medians are compared.")]
Items = Annotated[int, typer.Option(min=1, help="Items a batch.")]
Slack = Annotated[float, typer.Option(min=0, max=MOST_SLACK, help="How much worse than noise may be, as a share.")]
Against = Annotated[Path, typer.Option(help="The ratios to compare with.")]
Record = Annotated[bool, typer.Option("--record", help="Compare nothing: record the ratios of this run there.")]

app = new_app()

FALSE_ALARMS = 0.01
DRAWS = 20_000
SPEED = "items/s"
COST = "processor time"

# By name, such as `direct: items/s`, a ratio to the bare queue a repeat.
Ratios = dict[str, list[float]]


@dataclass(frozen=True)
class Verdict:
    """One ratio now and on record, as medians; `bound` is the worst that noise explains."""

    name: str
    recorded: float
    bound: float
    now: float

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than noise explains."""
        return self.now < self.bound if is_better_high(self.name) else self.now > self.bound


def is_better_high(name: str) -> bool:
    """Return whether more of this ratio is better."""
    return name.endswith(SPEED)


def ratios(runs: Sequence[Run]) -> Ratios:
    """Return each way's throughput and processor time as multiples of the bare queue's in the same repeat."""
    bare = {run.repeat: run for run in runs if run.case.way == BARE}
    by_name: Ratios = {}
    for run in runs:
        if run.case.way != BARE:
            base = bare[run.repeat]
            by_name.setdefault(f"{run.case.way}: {SPEED}", []).append(run.items_per_second / base.items_per_second)
            cost = run.cpu_ms["function"] / base.cpu_ms["function"]
            by_name.setdefault(f"{run.case.way}: {COST}", []).append(cost)
    return by_name


def judge(recorded: Ratios, now: Ratios, slack: float) -> list[Verdict]:
    """Compare medians; a way that only one of them has is not compared.

    The bound is what the median of as many repeats as were run now, drawn from those on record, is worse than once in
    100 times, and `slack` of it further.
    """
    verdicts = []
    for name in sorted(recorded.keys() & now.keys()):
        drawn = _medians(recorded[name], len(now[name]))
        place = int(FALSE_ALARMS * len(drawn))
        bound = drawn[place] * (1 - slack) if is_better_high(name) else drawn[-1 - place] * (1 + slack)
        verdicts.append(Verdict(name, median(recorded[name]), bound, median(now[name])))
    return verdicts


def _medians(values: Sequence[float], size: int) -> list[float]:
    """Return medians of so many of the values, drawn with replacement, sorted; the same values give the same."""
    chance = random.Random(0)
    return sorted(median(chance.choices(values, k=size)) for _ in range(DRAWS))


def as_document(recorded: Ratios, machine: Mapping[str, object]) -> dict[str, object]:
    """Return the record of a run, to compare later runs with."""
    return {"machine": machine, "ratios": {name: [round(v, 4) for v in values] for name, values in recorded.items()}}


@app.command()
def main(
    *,
    repeats: Repeats = 7,
    items: Items = 1_000,
    slack: Slack = 0.05,
    against: Against = RECORD,
    record: Record = False,
) -> None:
    """Compare throughput and processor time, as multiples of the bare queue's, with those on record."""
    console = Console()
    machine = describe_machine("bench.speed.regress")
    with errors_in_one_line():
        recorded = {} if record else _read(against)
    plan = Sweep(WAYS, (PARALLELISM,), (MODEL_MS,), repeats, items)
    now = ratios(run_to_end(sweep(plan, local((MODEL_MS,)), console)))
    if record:
        against.write_text(json.dumps(as_document(now, machine), indent=2) + "\n")
        return
    verdicts = judge(recorded, now, slack)
    console.print(_table(verdicts))
    if any(verdict.is_worse for verdict in verdicts):
        raise fail("slower than on record, by more than noise explains")


def _read(path: Path) -> Ratios:
    """Read the record of `--record`; raises BenchError."""
    try:
        recorded: Ratios = json.loads(path.read_text())["ratios"]
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"there are no ratios on record at {path}: make them with --record") from error
    return recorded


def _table(verdicts: Sequence[Verdict]) -> Table:
    rows = [
        {
            "ratio": verdict.name,
            "on record": f"{verdict.recorded:.3f}",
            "bound": f"{verdict.bound:.3f}",
            "now": f"{verdict.now:.3f}",
            "verdict": "worse" if verdict.is_worse else "",
        }
        for verdict in verdicts
    ]
    return terminal_table("Multiples of the bare queue's (medians)", rows)


if __name__ == "__main__":
    app()
