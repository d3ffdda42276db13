"""Runs the command line against the contract."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from pipeline.cli.app import app

if TYPE_CHECKING:
    from typer.testing import Result

    from tests.rigs.client.contract import Contract

# Wide enough that no cell is wrapped.
ENVIRONMENT = {
    "COLUMNS": "250",
    "OPENFAAS_URL": None,
    "PIPELINE_TOKEN": None,
    "PIPELINE_TOKEN_FILE": None,
    "NO_COLOR": "1",
}


async def run(server: Contract | None, *arguments: str, **environment: str) -> Result:
    """Run a command to its end in a thread, while this loop serves; `server` is its gateway."""
    gateway = {"OPENFAAS_URL": server.url} if server else {}
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env={**ENVIRONMENT, **gateway, **environment})
