"""`pip install` installs the packages, the files that they read, and the command `pipeline`."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import EntryPoint

import pytest
import typer

from tests.rigs.images import HANDLER, ROOT

BUILD = "from setuptools import build_meta; build_meta.build_wheel('wheels')"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the wheel, built from a copy, since setuptools leaves files behind."""
    folder = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("pipeline", "bench", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    built = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = (folder / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_contains_only_the_project(names: set[str]) -> None:
    read = {"ledger/lua/*.lua", "local/demo/photos/*", "openapi.yaml", "page/*", "py.typed", "**/*.py"}
    wanted = {str(path.relative_to(ROOT)) for pattern in read for path in HANDLER.glob(pattern) if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == wanted


def test_command_is_the_command_line(names: set[str]) -> None:
    assert [name for name in names if name.endswith("/entry_points.txt")]
    (script,) = scripts()
    assert script.name == "pipeline"
    assert isinstance(script.load(), typer.Typer)


def scripts() -> list[EntryPoint]:
    """Return the console scripts in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [EntryPoint(name, value, "console_scripts") for name, value in project["scripts"].items()]
