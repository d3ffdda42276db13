"""Has the pipeline become slower? `python -m bench.speed.regress`: a minute on a local stack, exit code 1 if it has."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import polars as pl
import typer

from bench.kit.cli import errors_in_one_line, fail, new_app, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import as_frame, lines_of, publish_rows, read_frame
from bench.speed.parallelism.measure import sweep
from bench.speed.parallelism.platforms import local
from bench.speed.parallelism.report import compared
from bench.speed.parallelism.ways import BARE, cases_of

NAME = "regress"
WAYS = (BARE, "chunk 1", "direct", "chunk 10")
PARALLELISM = 4
MODEL_MS = 0
MOST_SLACK = 0.5
FALSE_ALARMS = 0.01
DRAWS = 20_000
SPEED = "items/s"
COST = "processor time"

Repeats = Annotated[int, typer.Option(min=3, help="Batches a way; medians are compared.")]
Items = Annotated[int, typer.Option(min=1, help="Items a batch.")]
Slack = Annotated[float, typer.Option(min=0, max=MOST_SLACK, help="How much worse than noise may be, as a share.")]
Against = Annotated[Path, typer.Option(help="The folder of the rows to compare with.")]
Record = Annotated[bool, typer.Option("--record", help="Compare nothing: record the rows of this run there.")]

# By name, such as `direct: items/s`, a ratio to the bare queue a repeat.
Ratios = dict[str, list[float]]

app = new_app()


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
        return self.now < self.bound if self.name.endswith(SPEED) else self.now > self.bound


def ratios(rows: pl.DataFrame) -> Ratios:
    """Return each way's throughput and processor time as multiples of the bare queue's in the same repeat."""
    figures = {SPEED: "of_bare", COST: "cost_of_bare"}
    return {
        f"{way}: {name}": group[column].to_list()
        for (way,), group in compared(rows).filter(pl.col("way") != BARE).group_by("way", maintain_order=True)
        for name, column in figures.items()
    }


def judge(recorded: Ratios, now: Ratios, slack: float) -> list[Verdict]:
    """Compare medians; a way that only one of them has is not compared.

    The bound is what the median of as many repeats as were run now, drawn from those on record, is worse than once in
    100 times, and `slack` of it further.
    """
    chance, verdicts = np.random.default_rng(0), []
    for name in sorted(recorded.keys() & now.keys()):
        # The same rows give the same draws.
        drawn = np.median(chance.choice(recorded[name], (DRAWS, len(now[name]))), axis=1)
        share, room = (FALSE_ALARMS, 1 - slack) if name.endswith(SPEED) else (1 - FALSE_ALARMS, 1 + slack)
        bound = float(np.quantile(drawn, share)) * room
        verdicts.append(Verdict(name, median(recorded[name]), bound, median(now[name])))
    return verdicts


@app.command()
def main(
    *,
    repeats: Repeats = 7,
    items: Items = 1_000,
    slack: Slack = 0.05,
    against: Against = RESULTS,
    record: Record = False,
) -> None:
    """Compare throughput and processor time, as multiples of the bare queue's, with those on record."""
    machine = describe_machine("bench.speed.regress")
    with errors_in_one_line():
        recorded = {} if record else ratios(read_frame(against, NAME))
    cases = cases_of(WAYS, (PARALLELISM,), (MODEL_MS,), items)
    rows = run_to_end(sweep(cases, repeats, local((MODEL_MS,))))
    if record:
        publish_rows(against, machine, {NAME: rows})
        return
    verdicts = judge(recorded, ratios(as_frame(rows)), slack)
    lines = [
        (one.name, *(f"{figure:.3f}" for figure in (one.recorded, one.bound, one.now)), "worse" if one.is_worse else "")
        for one in verdicts
    ]
    typer.echo(lines_of(("multiple of the bare queue's", "on record", "bound", "now", "verdict"), lines))
    if any(verdict.is_worse for verdict in verdicts):
        raise fail("slower than on record, by more than noise explains")


if __name__ == "__main__":
    app()
