"""The other ways are programs of their own: they take nothing of the project, and their environment is pinned."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.compare import tools
from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.kit.processes import Usage

BASELINES = ROOT / "bench" / "compare" / "baselines"
# Uses processor time in a process that has ended when it says so, and lives on.
PARENT = """
import subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.3: pass"
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", burn])
    print("done", flush=True)
"""


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.py")), ids=lambda path: path.stem)
def test_a_baseline_imports_nothing_of_the_project(path: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)

    ours = {name for name in imported if name.split(".")[0] in {"bench", "pipeline", "tests"}}
    assert all(name.startswith("bench.compare.baselines.") for name in ours)


def test_the_pins_hold_what_the_baselines_ask_for_and_report() -> None:
    asked = [line for line in (BASELINES / "requirements.in").read_text().splitlines() if line[:1].isalpha()]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", tools.REQUIREMENTS.read_text(), re.MULTILINE))

    assert {re.split(r"\[", line)[0] for line in asked} | set(tools.PEERS) <= pinned


def test_the_environment_is_made_once_for_the_same_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def uv(*arguments: str) -> None:
        made.append(arguments[0])
        tools.FOLDER.mkdir(exist_ok=True)

    monkeypatch.setattr(tools, "FOLDER", tmp_path / "environment")
    monkeypatch.setattr(tools, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(tools, "_uv", uv)
    tools.REQUIREMENTS.write_text("one")

    tools.install()
    tools.install()
    assert made == ["venv", "pip"]

    tools.REQUIREMENTS.write_text("another")
    tools.install()
    assert made == ["venv", "pip"] * 2


def test_requirements_that_cannot_be_installed_are_an_error_and_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "environment"
    monkeypatch.setattr(tools, "FOLDER", folder)
    monkeypatch.setattr(tools, "PYTHON", folder / "bin" / "python")
    monkeypatch.setattr(tools, "REQUIREMENTS", tmp_path / "requirements.txt")
    tools.REQUIREMENTS.write_text("flask\n")

    for _ in range(2):
        with pytest.raises(BenchError, match="hash"):
            tools.install()


def test_processor_time_of_children_that_have_ended_counts() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        usage = Usage({"group": (parent.pid,)})
        parent.stdin.write("go\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "done\n"
        used = usage.cpu_ms()["group"]
        parent.stdin.close()

    assert used >= 280
