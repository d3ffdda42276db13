"""The same CSV through the original's three functions and through the pipeline: `python -m bench.compare.migration`.

It fails unless both summaries agree on every item.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer
from aiohttp import ClientSession

from bench.compare import peers
from bench.compare.peers import MODEL, Layout, environment
from bench.compare.stage import ORIGINAL
from bench.compare.summary import make_items, summary_of
from bench.kit.cli import Out, errors_in_one_line, new_app, run_to_end
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import markdown_table, publish
from bench.kit.stack import model_spec, put_input
from pipeline.client import Pipeline
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.local.stack import LocalStack

NAME = "migration"
WORKERS = 4
SECONDS = 300
# The fields of an entry that do not depend on the way; its call id does.
SAME = ("item", "result", "statusCode")
LISTS = ("results", "failures")

Items = Annotated[int, typer.Option(min=1, help="Items of the CSV; a tenth of them fails.")]

Summary = dict[str, Any]

app = new_app()


@app.command()
def main(*, items: Items = 200, out: Out = RESULTS) -> None:
    """Run one CSV both ways, compare the summaries and write the page."""
    machine = describe_machine("bench.compare.migration")
    with errors_in_one_line():
        peers.install()
    original, here = run_to_end(_run(make_items(items)))
    with errors_in_one_line():
        if differ := differences(original, here):
            raise BenchError(f"the summaries differ: {'; '.join(differ)}")
    publish(out, NAME, page=page(original, here, machine))
    typer.echo(f"The summaries agree. Result: {out}/{NAME}.md")


def differences(original: Summary, here: Summary) -> list[str]:
    """Return the differences between two summaries, [] where they agree on every item in any order."""
    differ = []
    for name in LISTS:
        if original[name]["count"] != here[name]["count"]:
            differ.append(f"{name}: {original[name]['count']} and {here[name]['count']}")
        theirs, ours = ({repr(_compared(entry)) for entry in one[name]["results"]} for one in (original, here))
        differ += [f"{name}: only the original has {entry}" for entry in sorted(theirs - ours)[:1]]
        differ += [f"{name}: only the pipeline has {entry}" for entry in sorted(ours - theirs)[:1]]
        lengths = {len(one[name]["results"]) for one in (original, here)}
        if len(lengths) > 1:
            differ.append(f"{name}: lists of {sorted(lengths)} entries")
    return differ


def page(original: Summary, here: Summary, machine: Mapping[str, Any]) -> str:
    """Return the comparison in Markdown."""
    lines = [
        "# The same CSV, the original's three functions and one specification",
        "",
        f"`{machine['command']}`, {machine['date']}, code {machine['code']}",
        "",
        f"Each item has the same {', '.join(f'`{name}`' for name in SAME)} in both summaries.",
        "",
        *markdown_table(
            ("", "original", "here"),
            [
                *((f"`{name}.count`", original[name]["count"], here[name]["count"]) for name in LISTS),
                ("fields", _fields(original), _fields(here)),
                ("fields of a result", _entry(original), _entry(here)),
                ("results in input order", _in_order(original), _in_order(here)),
            ],
        ),
    ]
    return "\n".join([*lines, ""])


def _compared(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get(name) for name in SAME}


def _fields(summary: Summary) -> str:
    return ", ".join(f"`{name}`" for name in summary)


def _entry(summary: Summary) -> str:
    return _fields(summary["results"]["results"][0])


def _in_order(summary: Summary) -> str:
    items = [entry["item"] for entry in summary["results"]["results"]]
    return "yes" if items == sorted(items) else "no"


async def _run(items: Sequence[str]) -> tuple[Summary, Summary]:
    async with local_stack([model_spec(MODEL, fails="items")], workers=WORKERS) as stack:
        command = (str(peers.PYTHON), "-m", "bench.compare.baselines.original")
        settings = environment(stack, Layout(WORKERS))
        for name in ORIGINAL:
            await stack.add_function(FunctionSpec(name, (*command, name), settings))
        key = await put_input(stack.s3, items)
        return await _original(stack, key), await _pipeline(stack, key)


async def _original(stack: LocalStack, key: str) -> Summary:
    batch, url = "original", f"{stack.gateway_url}/function/{ORIGINAL[0]}"
    async with ClientSession(raise_for_status=True) as http, http.post(url, data=key, headers={"X-Batch-Id": batch}):
        return await _summary(stack, batch)


async def _pipeline(stack: LocalStack, key: str) -> Summary:
    async with Pipeline(stack.gateway_url) as pipeline:
        batch = await pipeline.submit(key, function=MODEL, column="item")
        return await _summary(stack, batch.id)


async def _summary(stack: LocalStack, batch: str) -> Summary:
    async with summary_of(stack.s3, batch) as summary:
        try:
            return await asyncio.wait_for(summary.wait(), SECONDS)
        except TimeoutError:
            raise BenchError(f"batch {batch} has no summary after {SECONDS} s") from None


if __name__ == "__main__":
    app()
