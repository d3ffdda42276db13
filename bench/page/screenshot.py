"""Take the picture of the page in the README: `python -m bench.page.screenshot`, a real batch half way through."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from playwright.async_api import ViewportSize, expect

from bench.kit.browser import open_browser
from bench.kit.cli import run_to_end
from bench.kit.machine import RESULTS
from pipeline.client import Pipeline
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.stack import local_stack

MODEL = Path(__file__).with_name("pictured.py")
BATCH = "autumn-catalogue"
WORKERS = 4
SIZE: ViewportSize = {"width": 1200, "height": 900}
# The share of settled items when the picture is taken: the chart has grown, and items are left.
SHARE = 0.65
PATIENCE_MS = 120_000

Out = Annotated[Path, typer.Option(help="The picture.")]
Items = Annotated[int, typer.Option(help="Items of the batch; some of them fail.")]


def main(out: Out = RESULTS / "page.png", items: Items = 900) -> None:
    """Run a batch on a local stack, and take a picture of its page before it ends."""
    run_to_end(_run(out, items))
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


async def _run(out: Path, items: int) -> None:
    model = FunctionSpec("classify", (sys.executable, "-m", "pipeline.local.serve_handler", str(MODEL)))
    rows = ["url", *(f"https://shop.example/pictures/{number:04}.jpg" for number in range(1, items + 1)), ""]
    async with open_browser(os.environ) as browser, local_stack([model], workers=WORKERS) as stack:
        async with Pipeline(stack.gateway_url) as pipeline:
            batch = await pipeline.submit("\n".join(rows).encode(), batch_id=BATCH)
        page = await browser.new_page(viewport=SIZE, color_scheme="light", timezone_id="UTC")
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(batch.page)
        await expect(page.locator("#connection-text")).to_have_text("Live", timeout=PATIENCE_MS)
        settled = """settled => ["succeeded", "failed"].map((name) => document.querySelector(`[data-field=${name}]`))
            .reduce((sum, node) => sum + Number(node.textContent.replaceAll(",", "")), 0) >= settled"""
        await page.wait_for_function(settled, arg=int(items * SHARE))
        out.parent.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=out, full_page=True, animations="disabled")


if __name__ == "__main__":
    typer.run(main)
