"""Commands to paste into another terminal while the local stack runs."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.client import SpecFields
    from pipeline.local.stack import LocalStack


def hints(stack: LocalStack, key: str, fields: SpecFields) -> list[tuple[str, list[str]]]:
    """Return commands, grouped under headings, for a batch over the CSV that is stored under `key`."""
    body = shlex.quote(json.dumps({"input": key, **fields}))
    url = f"{stack.gateway_url}/function/pipeline"
    faas = f"faas-cli invoke pipeline --gateway {stack.gateway_url} -H 'X-Mode: batch'"
    objects = f"{stack.s3.endpoint}/{stack.s3.bucket}"
    s3_key, s3_secret = (shlex.quote(str(stack.secrets_dir / name)) for name in ("s3-key", "s3-secret"))
    signed = (
        f"curl --aws-sigv4 aws:amz:{stack.s3.region}:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "
        f'--user "$(cat {s3_key}):$(cat {s3_secret})"'
    )
    return [
        ("From the command line", command_lines(stack.gateway_url, key, fields)),
        ("Start a batch", [f"curl -sS -H 'X-Mode: batch' -H 'X-Batch-Id: demo-1' -d {body} {url}"]),
        ("or with faas-cli", [f"echo {body} | {faas} -H 'X-Batch-Id: demo-2'"]),
        ("See its progress", [f"curl -sS '{url}?batch=demo-1'"]),
        ("Read the summary after the end", [f"{signed} -sS {objects}/demo-1.json"]),
        ("Store your own CSV", [f"{signed} -T my.csv {objects}/data/my.csv"]),
        (
            "S3, for any other client",
            [
                f"endpoint {stack.s3.endpoint}, region {stack.s3.region}, bucket {stack.s3.bucket}",
                f"key in {stack.secrets_dir / 's3-key'}, secret in {stack.secrets_dir / 's3-secret'}",
            ],
        ),
    ]


def command_lines(gateway_url: str, key: str, fields: SpecFields) -> list[str]:
    """Return commands of the `pipeline` command line: submit and watch a batch, fetch its results, run the checks."""
    installed = Path(sys.executable).with_name("pipeline")
    words = [str(installed)] if installed.exists() else [sys.executable, "-m", "pipeline.cli"]
    program = shlex.join(words)
    options = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in fields.items()]
    gateway = f"--gateway {gateway_url}"
    return [
        f"{program} submit --key {shlex.join([key, *options])} --id demo-0 --watch {gateway}",
        f"{program} results demo-0 --to demo-0.parquet {gateway}",
        f"{program} doctor {gateway}",
    ]


def print_hints(console: Console, stack: LocalStack, key: str, fields: SpecFields) -> None:
    """Print the commands without line breaks, so that they can be copied."""
    console.print(f"Open {stack.gateway_url}/function/pipeline/ in a browser; Ctrl-C stops it.", soft_wrap=True)
    for heading, lines in hints(stack, key, fields):
        console.print(f"\n[bold]{heading}[/]", highlight=False)
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
