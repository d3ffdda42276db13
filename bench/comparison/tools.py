"""The environment of the original and the peers: made once from pinned requirements, apart from the project's own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.machine import ROOT

if TYPE_CHECKING:
    from pathlib import Path

REQUIREMENTS = ROOT / "bench" / "baselines" / "requirements.txt"
FOLDER = ROOT / "build" / "baselines"
PEERS = ("boto3", "celery", "dask", "distributed", "flask", "lithops", "pandas", "redis", "requests", "waitress")
_MARK = "installed"


def python() -> Path:
    """Return the environment's interpreter; it is made when it is not there, or of other requirements.

    Raises BenchError when that fails.
    """
    found = FOLDER / "bin" / "python"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = FOLDER / _MARK
    if not (mark.is_file() and mark.read_text() == wanted):
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(FOLDER))
        _uv(*("pip", "install", "--quiet", "--require-hashes", "--python", str(found), "--requirement"), REQUIREMENTS)
        mark.write_text(wanted)
    return found


def versions(interpreter: Path) -> dict[str, str]:
    """Return what is installed of the original's and the peers' packages."""
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PEERS!r}}}))"
    answer = subprocess.run([interpreter, "-c", code], capture_output=True, check=True, text=True).stdout
    found: dict[str, str] = json.loads(answer)
    return found


def _uv(*arguments: str | Path) -> None:
    command = (sys.executable, "-m", "uv", *arguments)
    try:
        subprocess.run(command, capture_output=True, check=True, text=True)
    except subprocess.CalledProcessError as error:
        raise BenchError(f"the peers' environment cannot be made: {error.stderr.strip()}") from error
