"""The other ways are programs of their own: they take nothing of the project, and their environment is pinned."""

import ast
import re
from pathlib import Path

import pytest

from bench.compare import peers
from bench.kit.errors import BenchError
from bench.kit.machine import ROOT

BASELINES = ROOT / "bench" / "compare" / "baselines"


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
    pinned = set(re.findall(r"^([a-z0-9-]+)==", peers.REQUIREMENTS.read_text(), re.MULTILINE))

    assert {re.split(r"\[", line)[0] for line in asked} | set(peers.PEERS) <= pinned


def test_requirements_that_cannot_be_installed_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "environment"
    monkeypatch.setattr(peers, "FOLDER", folder)
    monkeypatch.setattr(peers, "PYTHON", folder / "bin" / "python")
    monkeypatch.setattr(peers, "REQUIREMENTS", tmp_path / "requirements.txt")
    peers.REQUIREMENTS.write_text("flask\n")

    with pytest.raises(BenchError, match="hash"):
        peers.install()
