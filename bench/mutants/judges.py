"""Tests in a copy of the tree: which ones judge a file, and whether they fail with nothing changed."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import psutil
from cosmic_ray.testing import run_tests
from cosmic_ray.work_item import TestOutcome

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from pipeline.local.services.child_processes import child_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

# Rooms whose tests judge a file beside those of its own room.
BESIDE = {
    "answers": ("tasks", "outputs"),
    "base": ("modes",),
    "batch": ("modes",),
    "ledger": ("model", "batch"),
    "openfaas": ("tasks", "modes"),
    "sandbox": ("sql",),
    "sql": ("outputs",),
    "status": ("modes",),
    "store": ("batch",),
    "tasks": ("modes",),
    "webhooks": ("base", "notify"),
}
# They start and kill nodes of Redis, slowly: for the client alone.
NODES = Path("tests/ledger/redis")
# Seconds for all tests of a mutant; a test that hangs ends by its own timeout.
LIMIT = 3600.0
_PYTEST = ("-m", "pytest", "--tb=no", "-rfE", "-m", "not attack")
_IN_PARALLEL = ("--numprocesses", "2", "--dist", "loadfile")
FEW = 3
_NOTHING_RAN = re.compile(r"^=* *(no tests ran|\d+ deselected) in ", re.MULTILINE)
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def rooms(module: str) -> tuple[str, ...]:
    """Return the rooms whose tests judge a file, its own first."""
    room = module.split("/")[1] if module.count("/") > 1 else "base"
    return room, *BESIDE.get(room, ())


def judges(module: str) -> tuple[list[str], list[str]]:
    """Return the tests that judge a file below the working directory: those named after it, and others of its rooms."""
    words = set(Path(module).stem.split("_"))
    folders = [Path("tests", room) for room in rooms(module) if Path("tests", room).is_dir()]
    files = [path for folder in folders for path in sorted(folder.rglob("test_*.py"))]
    if not module.startswith("pipeline/ledger/redis/"):
        files = [path for path in files if NODES not in path.parents]
    named = [path for path in files if words <= set(path.stem.split("_"))]
    return [str(path) for path in named], [str(path) for path in files if path not in named]


def command(seed: int, *options: str) -> str:
    """Return the command that runs tests below the working directory."""
    parallel = _IN_PARALLEL if len(options) > FEW else ("--numprocesses", "0")
    return shlex.join([sys.executable, *_PYTEST, *parallel, f"--hypothesis-seed={seed}", *options])


def fails_unchanged(test: str, seed: int) -> bool:
    """Return whether a test fails with nothing changed, so that it judges nothing."""
    end_processes()
    outcome, _ = run_tests(command(seed, test), LIMIT)
    return outcome is not TestOutcome.SURVIVED


def failures(output: str) -> list[str]:
    """Return the tests that failed, as the end of pytest's output lists them."""
    return _FAILED.findall(output)


def nothing_ran(output: str) -> bool:
    """Return whether pytest had no test to run, which it counts as a failure."""
    return _NOTHING_RAN.search(output) is not None


@contextlib.contextmanager
def copy_of_tree(tests: str) -> Iterator[Path]:
    """Work in a copy of the last commit, with the tests of another when one is named; nothing is left at the end.

    Raises BenchError outside of a clone, or where there is no such commit.
    """
    with child_processes() as children, contextlib.ExitStack() as cleanup:
        tree = (children.directory / "tree").resolve()
        commit = _git(ROOT, "rev-parse", f"{tests or 'HEAD'}^{{commit}}")
        _git(ROOT, "clone", "--quiet", "--shared", str(ROOT), str(tree))
        if tests:
            _git(tree, "rm", "-r", "--quiet", "tests")
            _git(tree, "checkout", "--quiet", commit, "--", "tests")
        cleanup.enter_context(contextlib.chdir(tree))
        cleanup.callback(end_processes)
        (tree.parent / "tmp").mkdir()
        # Services of the user are not for tests of changed code.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "PYTEST_"))}
        environment = {**kept, "PYTHONPATH": str(tree), "TMPDIR": str(tree.parent / "tmp")}
        cleanup.enter_context(patch.dict(os.environ, environment, clear=True))
        yield tree


def end_processes() -> None:
    """Kill the processes that tests left: all work below the folder of the copy. Then remove their files."""
    folder = Path.cwd().parent
    while left := [one for one in psutil.process_iter() if one.pid != os.getpid() and _is_inside(one, folder)]:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left)
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    (folder / "tmp").mkdir()


def _is_inside(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return Path(process.cwd()).is_relative_to(folder)
    return False


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"git {' '.join(arguments)} fails in {folder}") from error
    return done.stdout.strip()
