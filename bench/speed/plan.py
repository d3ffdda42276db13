"""The plan for a hundred million items on a cluster, from measured rows and stated assumptions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.kit.results import as_page, figures_table

Run = Mapping[str, Any]

ITEMS = 100_000_000
HOURS = (24.0, 1.0)
GB = 1e9
MILLION = 1e6


@dataclass(frozen=True)
class Assumed:
    """The assumptions. Prices are those of a million requests or of a GB and month; rates are those of one a second.

    `usable` is the share of a core that is planned with; `model_ms` are milliseconds an item in the model function;
    `invocation_seconds` is the time that one invocation has: the opening of a batch is one, and its reduce another.
    """

    put_dollars: float = 5.0
    get_dollars: float = 0.4
    gb_dollars: float = 0.023
    put_rate: float = 3_500
    get_rate: float = 5_500
    message_rate: float = 5_000
    usable: float = 0.7
    model_ms: float = 10
    invocation_seconds: float = 60
    max_rows: int = 10_000_000


ASSUMED = Assumed()
INTRODUCTION = """\
Computed from the rows of `scale.csv` by `bench/speed/plan.py`; nothing of it was run. The costs of an item are
those of the largest batch measured with its chunk, taken as constant, with all that a batch costs once. They are split
into batches whose opening and whose reduce each end within one invocation. A replica of the pipeline is one core. The
gateway is not in it: what runs here is a stand-in. Shares over 1 take more than one server or S3 prefix."""


def plan(run: Run, hours: float = 24, items: int = ITEMS, assumed: Assumed = ASSUMED) -> dict[str, Any]:
    """Return the needs of so many items in `hours` at the costs of `run`, the largest one measured with its chunk.

    They are split into batches whose opening and whose reduce each end within one invocation. The fixed costs of a
    batch count with its items, so the costs are rather too high. `loads` are shares of the capacity of one server or
    prefix: over 1 it takes more.
    """
    seconds, scale = hours * 3600, float(items / run["items"])
    slowest = max(run["open_seconds"], run["reduce_seconds"]) / run["items"]
    batches = math.ceil(items / min(assumed.max_rows, int(assumed.invocation_seconds / slowest)))
    puts, gets, stored = (scale * run[name] for name in ("s3_put", "s3_get", "stored_bytes"))
    messages = math.ceil(items / run["chunk"]) + 2 * batches
    busy = {name: scale * run[f"{name}_cpu_ms"] / 1000 / seconds for name in ("pipeline", "gateway", "redis")}
    rates = {"NATS": messages / assumed.message_rate, "PUT": puts / assumed.put_rate, "GET": gets / assumed.get_rate}
    loads = {"Redis core": busy["redis"] / assumed.usable, **{name: rate / seconds for name, rate in rates.items()}}
    bottleneck = max(loads, key=lambda name: loads[name])
    return {
        "hours": hours,
        "chunk": run["chunk"],
        "measured with": run["items"],
        "batches": batches,
        "items of one": math.ceil(items / batches),
        "opening of one, s": run["open_seconds"] * scale / batches,
        "reduce of one, s": run["reduce_seconds"] * scale / batches,
        "Redis, all open, MB": run["redis_bytes"] * batches / MILLION,
        "messages": messages,
        "S3 PUT": puts,
        "S3 GET": gets,
        "requests, $": (puts * assumed.put_dollars + gets * assumed.get_dollars) / MILLION,
        "stored, GB": stored / GB,
        "a month, $": stored / GB * assumed.gb_dollars,
        "replicas": math.ceil(busy["pipeline"] / assumed.usable),
        # A slot is held while the task, the model function and the callback work.
        "queue-workers": math.ceil(sum(busy.values()) + assumed.model_ms * items / 1000 / seconds),
        "messages a second": messages / seconds,
        **{f"used of one {name}": load for name, load in loads.items()},
        "first bottleneck": bottleneck,
        "full at, h": hours * loads[bottleneck],
    }


def plan_page(largest: Sequence[Run], machine: Mapping[str, Any]) -> str:
    """Return the page from the largest run of each chunk: a table for each, with a column of hours each."""
    tables = []
    for run in largest:
        plans = [plan(run, hours) for hours in HOURS]
        tables.append(figures_table({name: [one[name] for one in plans] for name in plans[0]}))
    assumptions = figures_table({name.replace("_", " "): [value] for name, value in asdict(ASSUMED).items()})
    title = f"{ITEMS:,} items, on paper"
    return as_page(title, machine, INTRODUCTION, *tables, "Assumed, not measured:", assumptions)
