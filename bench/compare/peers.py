"""The environment of the peers, made from pinned requirements."""

import subprocess
import sys

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT

REQUIREMENTS = ROOT / "bench" / "compare" / "baselines" / "requirements.txt"
FOLDER = ROOT / "build" / "baselines"
PYTHON = FOLDER / "bin" / "python"
PEERS = ("boto3", "celery", "dask", "distributed", "flask", "lithops", "pandas", "redis", "requests", "waitress")


def install() -> dict[str, str]:
    """Make the environment as pinned, and return the versions of the peers; raises BenchError when that fails."""
    _uv("venv", "--quiet", "--allow-existing", "--python", sys.executable, str(FOLDER))
    _uv("pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(REQUIREMENTS))
    packages = dict(line.split("==") for line in _uv("pip", "freeze", "--python", str(PYTHON)).splitlines())
    return {name: packages[name] for name in PEERS}


def _uv(*arguments: str) -> str:
    try:
        return subprocess.run(
            (sys.executable, "-m", "uv", *arguments), capture_output=True, check=True, text=True
        ).stdout
    except subprocess.CalledProcessError as error:
        raise BenchError(f"the peers' environment cannot be made: {error.stderr.strip()}") from error
