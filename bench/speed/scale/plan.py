"""The plan for a hundred million items on a cluster, from measured rows and stated assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.results import as_page, lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Run = Mapping[str, Any]

ITEMS = 100_000_000
HOURS = (24.0, 1.0)
GB = 1e9
MILLION = 1e6


@dataclass(frozen=True)
class Assumed:
    """The assumptions. Prices are in dollars, rates are those of one server or prefix, a second.

    `usable` is the share of a core that is planned with; `model_ms` are milliseconds an item in the model function;
    `invocation_seconds` is the time that one invocation has: the opening of a batch is one, and its reduce another.
    """

    put_price: float = 5.0
    get_price: float = 0.4
    storage_price: float = 0.023
    s3_puts: float = 3_500
    s3_gets: float = 5_500
    nats_messages: float = 5_000
    usable: float = 0.7
    model_ms: float = 10
    invocation_seconds: float = 60
    max_rows: int = 10_000_000


ASSUMED = Assumed()


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
    rates = {"NATS": messages / assumed.nats_messages, "PUT": puts / assumed.s3_puts, "GET": gets / assumed.s3_gets}
    loads = {"Redis core": busy["redis"] / assumed.usable, **{name: rate / seconds for name, rate in rates.items()}}
    bottleneck = max(loads, key=lambda name: loads[name])
    return {
        "batches": batches,
        "batch_items": math.ceil(items / batches),
        "open_seconds": run["open_seconds"] * scale / batches,
        "reduce_seconds": run["reduce_seconds"] * scale / batches,
        "redis_mb": run["redis_bytes"] * batches / MILLION,
        "puts": puts,
        "gets": gets,
        "stored_gb": stored / GB,
        "messages": messages,
        "request_dollars": (puts * assumed.put_price + gets * assumed.get_price) / MILLION,
        "month_dollars": stored / GB * assumed.storage_price,
        "pipelines": math.ceil(busy["pipeline"] / assumed.usable),
        # A slot is held while the task, the model function and the callback work.
        "queue_workers": math.ceil(sum(busy.values()) + assumed.model_ms * items / 1000 / seconds),
        "messages_a_second": messages / seconds,
        "loads": loads,
        "bottleneck": bottleneck,
        "least_hours": hours * loads[bottleneck],
    }


INTRODUCTION = f"""\
Computed from the rows of `scale.csv` by `bench/speed/scale/plan.py`; nothing of it was run. The costs of an item are
those of the largest batch measured with its chunk, taken as constant, with all that a batch costs once. A replica of
the pipeline is one core.

Assumed, not measured:

- S3 list prices: PUT, COPY, POST and LIST ${ASSUMED.put_price:g} a million, GET ${ASSUMED.get_price:g} a million,
  storage ${ASSUMED.storage_price:g} a GB and month.
- S3 takes {ASSUMED.s3_puts:,.0f} PUT and {ASSUMED.s3_gets:,.0f} GET a second on one prefix; NATS
  {ASSUMED.nats_messages:,.0f} messages a second.
- {ASSUMED.usable:.0%} of a core is planned with. The model function takes {ASSUMED.model_ms:g} ms an item, and a
  queue-worker holds one message at a time.
- The opening of a batch and its reduce each end within one invocation of {ASSUMED.invocation_seconds:g} s; a batch has
  at most {ASSUMED.max_rows:,} rows (setting `max_rows`). That says how many batches there are.

The gateway is not in it: what runs here is a stand-in. The queue never holds more than each batch's `window`."""

NEEDS = {
    "batches": "{batches:,} of {batch_items:,}",
    "opening / reduce of one": "{open_seconds:.1f} s / {reduce_seconds:.1f} s",
    "Redis, all batches open": "{redis_mb:,.0f} MB",
    "messages in NATS": "{messages:,.0f}",
    "S3 PUT / GET": "{puts:,.0f} / {gets:,.0f}",
    "price of the requests": "${request_dollars:,.2f}",
    "kept in S3": "{stored_gb:,.1f} GB, ${month_dollars:,.2f} a month",
}
FLEET = {
    "replicas of the pipeline": "{pipelines:,}",
    "queue-workers": "{queue_workers:,}",
    "messages a second": "{messages_a_second:,.1f}",
    "used of one Redis core": "{loads[Redis core]:.1%}",
    "used of one NATS": "{loads[NATS]:.1%}",
    "used of one S3 prefix, PUT / GET": "{loads[PUT]:.1%} / {loads[GET]:.1%}",
    "first bottleneck": "{bottleneck}, full at {least_hours:.2f} h",
}


def plan_page(largest: Sequence[Run], machine: Mapping[str, Any]) -> str:
    """Return the page from the largest run of each chunk."""
    heads = ("", *(f"chunk {run['chunk']:,} (measured at {run['items']:,})" for run in largest))
    parts = {"Whatever the time": (NEEDS, 24.0), **{f"In {hours:g} h": (FLEET, hours) for hours in HOURS}}
    tables = []
    for title, (forms, hours) in parts.items():
        plans = [plan(run, hours) for run in largest]
        lines = [(name, *(form.format_map(one) for one in plans)) for name, form in forms.items()]
        tables.append(f"## {title}\n\n{lines_of(heads, lines)}")
    return as_page(f"{ITEMS:,} items, on paper", machine, INTRODUCTION, *tables)
