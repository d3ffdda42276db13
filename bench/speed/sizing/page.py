"""The measured figures as advice: tables and formulas for bench/README.md, and a page with all rows."""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.kit.errors import BenchError
from bench.kit.publish import facts, markdown_table
from bench.speed.sizing.figures import GET_DOLLARS, MILLION, PRICED_ON, PUT_DOLLARS, of_chunk, of_group
from bench.speed.sizing.figures import memory as fit_memory
from bench.speed.sizing.figures import requests as fit_requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.speed.sizing.figures import Row

BEGIN, END = "<!-- python -m bench.speed.sizing --readme bench/README.md writes what follows -->", "<!-- until here -->"
KIB = 1024
SEGMENT_ITEMS = 1_000


def section(rows: Sequence[Row]) -> str:
    """Return the part of bench/README.md: formulas and tables."""
    parts = (_redis(rows), _queue(rows), _s3(rows), _window(rows), _attempts(rows))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def put_into(text: str, part: str) -> str:
    """Replace the text between the marks of a README; raises BenchError for one without marks."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise BenchError(f"the README has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{part}\n{END}{after}"


def page(rows: Sequence[Row], machine: Mapping[str, Any]) -> str:
    """Return the whole page: the machine, the part of bench/README.md, and a line for each batch."""
    lines = ["# Sizing", "", *facts(machine), ""]
    return "\n".join([*lines, section(rows), "## All batches", "", *_all(rows), ""])


def _redis(rows: Sequence[Row]) -> list[str]:
    measured = [row for row in rows if row.case.group in {"size", "window", "result"}]
    fit = fit_memory(measured)
    extra = max(row.keys["outcomes"] / SEGMENT_ITEMS - row.case.result_bytes for row in of_group(rows, "size"))
    rest = max(row.redis_kept for row in measured)
    chunks = sorted({row.case.chunk for row in measured})
    most: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in measured:
        sizes = most[row.case.result_bytes]
        sizes[row.case.chunk] = max(row.redis_peak, sizes[row.case.chunk])
    lines = [
        (_size(size), *(f"{peaks[chunk] / MILLION:.1f} MB" if peaks[chunk] else "" for chunk in chunks))
        for size, peaks in sorted(most.items())
    ]
    return [
        *_text(
            f"**Redis**, for each open batch: {fit.once / MILLION:.1f} MB + {fit.task:.0f} B x `window` + "
            f"{fit.outcome:.1f} x the outcomes that wait to be written, which are about {SEGMENT_ITEMS:,}, each of "
            f"its result and up to {extra:.0f} B, or 8 MB at most. That is within {fit.off:.0%} of every batch "
            f"measured. How many items there are makes no difference. An ended batch keeps {rest / 1000:.1f} KB for a "
            "week."
        ),
        "",
        *markdown_table(("a result", *(f"`chunk` {chunk}" for chunk in chunks)), lines),
    ]


def _queue(rows: Sequence[Row]) -> list[str]:
    measured = of_group(rows, "size")
    chunks = sorted({row.case.chunk for row in measured})
    # The largest size that there is of every chunk.
    items = min(max(row.case.items for row in of_chunk(rows, chunk)) for chunk in chunks)
    counts = [f"{row.messages:,} at `chunk` {row.case.chunk}" for row in measured if row.case.items == items]
    return _text(
        "**The queue**: a message for each task, one for the reduce and one for each task that runs again; at most "
        f"`window` of them at a time. {items:,} items are {', '.join(counts)}."
    )


def _s3(rows: Sequence[Row]) -> list[str]:
    lines = []
    for chunk in sorted({row.case.chunk for row in of_group(rows, "size")}):
        fit = fit_requests(of_chunk(rows, chunk))
        puts, gets = f"{fit.puts_once:.0f} + {fit.puts:.1f}", f"{fit.gets_once:.0f} + {fit.gets:.1f}"
        lines.append((str(chunk), puts, gets, f"${fit.million_dollars:.4f}"))
    apart = [
        f"{_size(row.case.result_bytes)} in a `chunk` of {row.case.chunk} were "
        f"{1000 * row.puts / row.case.items:,.0f} PUT for 1,000 items, "
        f"${row.dollars * MILLION / row.case.items:,.2f} a million"
        for row in of_group(rows, "result")
        if row.stored["refs"]
    ]
    alone = [row for row in [*of_group(rows, "size"), *of_group(rows, "result")] if row.case.chunk == 1]
    largest = {row.case.result_bytes: row for row in alone}
    kinds = ("input", "segments", "outputs")
    stored = [
        (_size(size), *(_size(1000 * row.stored[kind] / row.case.items) for kind in kinds))
        for size, row in largest.items()
    ]
    return [
        *_text(
            "**S3**: requests that a batch makes once, and for each 1,000 items. PUT stands for PUT, COPY, POST and "
            f"LIST, GET for GET and HEAD, priced as S3 Standard in us-east-1 was listed on {PRICED_ON} "
            f"(${PUT_DOLLARS * 1000:g} and ${GET_DOLLARS * 1000:g} for 1,000):"
        ),
        "",
        *markdown_table(("`chunk`", "PUT", "GET", "requests of a million items"), lines),
        "",
        *_text(
            "What a task answers beyond `inline_limit` is stored apart, a PUT for each result, which is then the "
            f"price: {'; '.join(apart)}. An `inline_limit` of `chunk` x the bytes of a result avoids it. Kept for "
            "1,000 items until the batch is deleted, without results apart:"
        ),
        "",
        *markdown_table(("a result", "snapshot", "segments", "summary and the rest"), stored),
    ]


def _window(rows: Sequence[Row]) -> list[str]:
    case = of_group(rows, "parallelism")[0].case
    seconds: dict[int, list[float]] = defaultdict(list)
    for row in of_group(rows, "parallelism"):
        seconds[row.case.window].append(row.seconds)
    middle = {window: median(values) for window, values in sorted(seconds.items())}
    shares = [f"{min(middle.values()) / each:.0%}" for each in middle.values()]
    return [
        *_text(
            "**`window`**: twice what the queue-workers do at once, since a task is only released when one is settled; "
            f"more adds nothing but waiting for others. With {case.workers} at once and a model of {case.model_ms} ms:"
        ),
        "",
        *markdown_table(("`window`", *map(str, middle)), [("of the highest throughput", *shares)]),
    ]


def _attempts(rows: Sequence[Row]) -> list[str]:
    words = {"calls": "a tenth of the calls", "items": "a tenth of the items, each time"}
    lines = []
    for row in of_group(rows, "attempts"):
        case = row.case
        lines.append((words[case.fails], case.attempts, case.items, row.failed, row.calls, f"{row.seconds:.1f}"))
    return [
        *_text(
            "**`attempts`**: a call that fails now and then is made again within its task, which costs that call. An "
            "item that fails each time costs 5 calls in each attempt, with the waits between them:"
        ),
        "",
        *markdown_table(("what fails", "`attempts`", "items", "failed", "calls", "seconds"), lines),
    ]


def _all(rows: Sequence[Row]) -> list[str]:
    heads = ("group", "items", "chunk", "window", "result", "Redis, most", "messages", "calls", "requests to S3")
    lines = []
    for row in rows:
        case = row.case
        sizes = (_size(case.result_bytes), f"{row.redis_peak / MILLION:.2f} MB")
        requests = ", ".join(f"{count:,} {_words(name)}" for name, count in row.s3.items() if count)
        batch = (case.group, f"{case.items:,}", case.chunk, case.window)
        lines.append((*batch, *sizes, f"{row.messages:,}", f"{row.calls:,}", requests))
    return markdown_table(heads, lines)


def _text(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _words(operation: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation).lower()


def _size(size: float) -> str:
    if size < KIB:
        return f"{size:.0f} B"
    return f"{size / KIB:,.0f} KiB" if size < KIB * KIB else f"{size / KIB / KIB:,.1f} MiB"
