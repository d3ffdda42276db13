"""Lines to paste into another terminal while the local stack is up."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from pipeline.local.stack import LocalStack


def hints(stack: LocalStack, spec: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Make the lines, in groups under a heading; `spec` is a batch over the CSV that is in place already."""
    body = shlex.quote(json.dumps(spec))
    url = f"{stack.gateway_url}/function/pipeline"
    faas = f"faas-cli invoke pipeline --gateway {stack.gateway_url} -H X-Mode=batch"
    objects = f"{stack.s3.endpoint}/{stack.s3.bucket}"
    key, secret = (shlex.quote(str(stack.secrets_dir / name)) for name in ("s3-key", "s3-secret"))
    signed = (
        f"curl --aws-sigv4 aws:amz:{stack.s3.region}:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "
        f'--user "$(cat {key}):$(cat {secret})"'
    )
    return [
        ("Start a batch", [f"curl -sS -H 'X-Mode: batch' -H 'X-Batch-Id: demo-1' -d {body} {url}"]),
        ("or with faas-cli", [f"echo {body} | {faas} -H X-Batch-Id=demo-2"]),
        ("See how it is doing", [f"curl -sS '{url}?batch=demo-1'"]),
        ("Read the summary when it is done", [f"{signed} -sS {objects}/demo-1.json"]),
        ("Put a CSV of your own in place", [f"{signed} -T my.csv {objects}/data/my.csv"]),
        (
            "S3, for any other client",
            [
                f"endpoint {stack.s3.endpoint}, region {stack.s3.region}, bucket {stack.s3.bucket}",
                f"key in {stack.secrets_dir / 's3-key'}, secret in {stack.secrets_dir / 's3-secret'}",
            ],
        ),
    ]


def print_hints(console: Console, stack: LocalStack, spec: Mapping[str, Any]) -> None:
    """Print the lines unbroken, so that they can be copied."""
    console.print(f"The gateway listens at [bold]{stack.gateway_url}[/], Ctrl-C ends it.", soft_wrap=True)
    for heading, lines in hints(stack, spec):
        console.print(f"\n[bold]{heading}[/]", highlight=False)
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
