"""The files that are changed, and the tests that judge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOOLS = {"cosmic_ray": "cosmic-ray==8.7.0", "coverage": "coverage==7.17.4"}
INSTALL = f".venv/bin/python -m pip install {' '.join(TOOLS.values())}"
MODEL = "tests/model/test_ledger_machine.py"
# The rooms and files that claim, count, sign, end and repair a batch; `states.py` and package files are data.
_CHANGED = ("ledger", "batch", "tasks", "modes")
_SINGLE = ("openfaas/signing.py", "status/saved_state.py")
_LEFT_OUT = frozenset({"__init__.py", "states.py"})
# These start, kill or replace a Redis themselves, and must not do so with the Redis of a job.
_OWN_REDIS = ("tests/ledger/redis/", "tests/doctor/test_redis.py")
_ROOMS = (
    *("answers", "base", "batch", "doctor", "inputs", "ledger", "modes", "notify", "openfaas", "outputs", "settings"),
    *("spec", "sql", "status", "store", "tasks"),
)


def all_modules() -> list[str]:
    """Return the files that may be changed, as paths from the root."""
    folder = ROOT / "pipeline"
    paths = [
        *(folder / name for name in _SINGLE),
        *(path for room in _CHANGED for path in sorted((folder / room).glob("*.py")) if path.name not in _LEFT_OUT),
        *sorted((folder / "ledger" / "lua").glob("*.lua")),
    ]
    return [path.relative_to(ROOT).as_posix() for path in paths]


def choose(only: str) -> list[str]:
    """Return the files whose path begins with one of `only`, split at commas; all when it is empty.

    Raises BenchError for a beginning without a file.
    """
    modules = all_modules()
    starts = [start.strip() for start in only.split(",") if start.strip()]
    for start in starts:
        if not any(module.startswith(start) for module in modules):
            raise BenchError(f"--only {start}: no module begins so; there are {', '.join(modules)}")
    return [module for module in modules if not starts or module.startswith(tuple(starts))]


def judges(tree: Path) -> list[str]:
    """Return the files of a tree's tests that may judge beside MODEL, as paths from the root."""
    files = [path for room in _ROOMS for path in (tree / "tests" / room).rglob("test_*.py")]
    paths = sorted(path.relative_to(tree).as_posix() for path in files)
    return [path for path in paths if not path.startswith(_OWN_REDIS)]


def own_first(module: str, test: str) -> int:
    """Return the distance of a test's file from a module, by their names: 0 is nearest."""
    words = test.partition("::")[0].rpartition("/")[2].removesuffix(".py").split("_")
    if module.rpartition("/")[2].partition(".")[0] in words:
        return 0
    return 1 if module.endswith(".lua") and test.startswith("tests/ledger/") else 2


def missing(installed: Sequence[str]) -> str:
    """Return the error when one of TOOLS is not installed, else ''."""
    absent = [requirement for name, requirement in TOOLS.items() if name not in installed]
    if not absent:
        return ""
    return f"{' and '.join(absent)} not found, which the locked requirements leave out: {INSTALL}"
