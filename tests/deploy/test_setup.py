"""`make` makes its own .venv by uv or pip, or fails with one line."""

import os
import re
from pathlib import Path

import pytest

from tests.rigs.checkout import LOCKS, UV_PIP, arguments, make, write_program
from tests.rigs.images import ROOT


def test_old_python_is_a_one_line_error(folder: Path) -> None:
    old = write_program(folder / "old", '#!/bin/sh\ncase "$1" in -V) echo Python 3.9.1;; *) exit 1;; esac\n')
    result = make(folder, "test", f"PYTHON=./{old.name}")
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        "error: ./old is Python 3.9.1: install 3.11 or newer, or say PYTHON=python3.12"
    )
    assert not (folder / ".venv").exists()


def test_missing_python_is_a_one_line_error(folder: Path) -> None:
    result = make(folder, "test", "PYTHON=python-that-is-not-there")
    assert result.returncode != 0
    assert result.stderr.startswith("error: python-that-is-not-there not found: install Python 3.11 or newer\n")


def packages(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)==", lock.read_text(), re.MULTILINE))


def test_demo_installs_what_the_local_stack_needs(folder: Path) -> None:
    result = make(folder, "demo", "PYTHON=./python")
    pip = "-m pip --python .venv/bin/python --disable-pip-version-check install --no-input"
    assert arguments(result) == [
        "-m venv --clear --without-pip .venv",
        f"{pip} --quiet --only-binary uv --require-hashes --target .venv/.uv -r .venv/.uv.txt",
        f"{UV_PIP} --require-hashes --build-constraints requirements-local.lock -r requirements-local.lock",
        f"{UV_PIP} --quiet --no-deps --no-build-isolation --editable .",
        "-m pipeline.local demo",
    ]
    assert re.fullmatch(r"Setting up \.venv for the local stack: \d\d packages, once\n", result.stderr)
    assert packages(folder / "installed uv") == {"uv"}
    assert {path.name for path in (folder / ".venv").iterdir()} == {"bin", ".pip", ".installed-local"}


def test_check_adds_the_rest_to_the_same_venv(folder: Path) -> None:
    make(folder, "demo", "PYTHON=./python")
    result = make(folder, ".venv/.installed")
    assert arguments(result)[1] == (
        f"{UV_PIP} --require-hashes --build-constraints requirements.lock -r requirements.lock"
    )
    assert not [line for line in arguments(result) if "venv --clear" in line]
    assert result.stderr.startswith("Setting up .venv for development: ")
    assert make(folder, "demo").stderr == ""


@pytest.mark.parametrize("lacks", ["no wheel", "no uv registry"])
def test_pip_installs_where_uv_cannot(folder: Path, lacks: str) -> None:
    if lacks == "no wheel":
        (folder / lacks).touch()
    else:
        write_program(folder / "uv", "#!/bin/sh\nexit 2\n")
    result = make(folder, ".venv/.installed", "PYTHON=./python")
    pip = "-m pip --python .venv/bin/python --disable-pip-version-check install --no-input"
    assert arguments(result)[-2:] == [
        f"{pip} --require-hashes -r .venv/.others.txt",
        f"{pip} --quiet --no-deps --no-build-isolation --editable .",
    ]
    assert "Without uv, pip installs: some minutes" in result.stderr
    assert packages(folder / "installed") == packages(ROOT / "requirements.lock") - {"uv"}


def test_python_without_pip_makes_a_venv_with_one(folder: Path) -> None:
    (folder / "no pip").touch()
    ran = arguments(make(folder, "demo", "PYTHON=./python"))
    assert ran[0] == "-m venv --clear .venv"
    assert ran[1].startswith("-m pip --disable-pip-version-check install ")


def test_python_without_pip_and_ensurepip_is_a_one_line_error(folder: Path) -> None:
    for name in ("no pip", "no ensurepip"):
        (folder / name).touch()
    result = make(folder, "demo", "PYTHON=./python")
    assert result.returncode != 0
    assert result.stderr.startswith("error: ./python has no venv: install it (Debian and Ubuntu: apt-get install ")


def test_incomplete_venv_is_made_again(folder: Path) -> None:
    """The stamp is made last, so that a failed installation leaves no venv that counts as complete."""
    left_over = folder / ".venv" / "left over"
    left_over.parent.mkdir()
    left_over.touch()
    (folder / "no network").touch()
    assert make(folder, "demo", "PYTHON=./python").returncode != 0
    assert not left_over.exists()
    (folder / "no network").unlink()
    assert arguments(make(folder, "demo", "PYTHON=./python"))[0] == "-m venv --clear --without-pip .venv"


@pytest.mark.parametrize("lock", LOCKS)
def test_new_lock_makes_a_new_venv(ready: Path, lock: str) -> None:
    newer = (ready / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(ready / lock, (newer, newer))
    ran = arguments(make(ready, ".venv/.installed", "PYTHON=./python"))
    assert ran[0] == "-m venv --clear --without-pip .venv"
