"""The environment of the original and the peers: made once from pinned requirements, apart from the project's own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT

REQUIREMENTS = ROOT / "bench" / "compare" / "baselines" / "requirements.txt"
FOLDER = ROOT / "build" / "baselines"
PYTHON = FOLDER / "bin" / "python"
PEERS = ("boto3", "celery", "dask", "distributed", "flask", "lithops", "pandas", "redis", "requests", "waitress")
_MARK = "installed"


def install() -> None:
    """Make the environment when it is not there, or of other requirements; raises BenchError when that fails."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark = FOLDER / _MARK
    if mark.is_file() and mark.read_text() == wanted:
        return
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(FOLDER))
    _uv(*("pip", "install", "--quiet", "--require-hashes", "--python", str(PYTHON), "-r", str(REQUIREMENTS)))
    mark.write_text(wanted)


def versions() -> dict[str, str]:
    """Return what is installed of the original's and the peers' packages."""
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PEERS!r}}}))"
    answer = subprocess.run([PYTHON, "-c", code], capture_output=True, check=True, text=True).stdout
    found: dict[str, str] = json.loads(answer)
    return found


def _uv(*arguments: str) -> None:
    command = (sys.executable, "-m", "uv", *arguments)
    try:
        subprocess.run(command, capture_output=True, check=True, text=True)
    except subprocess.CalledProcessError as error:
        raise BenchError(f"the peers' environment cannot be made: {error.stderr.strip()}") from error
