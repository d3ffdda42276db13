"""`make` passes the options of the user, and makes its own .venv or fails with one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.kit.browser import NAMES
from tests.rigs.images import ROOT

SHOW_ARGUMENTS = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
# Does as `python -m venv --clear`, with a python in the venv whose pip needs a network.
FAKE_PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 0
rm -rf "$4" && mkdir -p "$4/bin"
printf '#!/bin/sh\\necho "$*"; test ! -e "no network"\\n' > "$4/bin/python"
chmod +x "$4/bin/python"
"""
# A python without ensurepip, whose pip works on the venv from outside.
DEBIANS_PYTHON = """#!/bin/sh
case "$*" in
  *ensurepip*) exit 1;;
  "-m venv"*) mkdir -p .venv/bin && printf '#!/bin/sh\\n' > .venv/bin/python && chmod +x .venv/bin/python;;
  "-m pip"*) echo "$*";;
esac
"""
HOSTILE = 'it\'s a "b" $HOME `x` \\ *.csv'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in a path with a space."""
    target = tmp_path / "a checkout"
    target.mkdir()
    for name in ("Makefile", "requirements.lock"):
        (target / name).write_bytes((ROOT / name).read_bytes())
    return target


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, *arguments], cwd=folder, env=outer | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def ready(folder: Path) -> Path:
    """The checkout with an up-to-date .venv, whose python prints its arguments, one a line."""
    write_program(folder / ".venv" / "bin" / "python", SHOW_ARGUMENTS)
    (folder / ".venv" / ".installed").touch()
    return folder


def arguments(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("target", ["demo", "up"])
def test_no_variables_give_no_options(ready: Path, target: str) -> None:
    assert arguments(make(ready, target)) == ["-m", "pipeline.local", target]


@pytest.mark.parametrize("target", ["demo", "up"])
def test_options_are_passed_unchanged(ready: Path, target: str) -> None:
    given = ["CSV=a b.csv", f"FUNCTION={HOSTILE}", "COLUMN=image url", "COUNT=20", "WORKERS=8", "CHUNK=auto"]
    assert arguments(make(ready, target, *given, "CHUNK_CALL=1"))[3:] == [
        "--csv=a b.csv",
        f"--function={HOSTILE}",
        "--column=image url",
        "--count=20",
        "--workers=8",
        "--chunk=auto",
        "--chunk-call",
    ]


def test_dry_run_quotes_for_the_shell(ready: Path) -> None:
    assert "--csv='a b.csv'" in make(ready, "-n", "demo", "CSV=a b.csv").stdout


def test_local_stack_takes_every_option() -> None:
    command = [sys.executable, "-m", "pipeline.local", "demo", "--help"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    for option in ("--csv", "--function", "--column", "--count", "--workers", "--chunk", "--chunk-call"):
        assert option in shown, option


def test_help_is_the_default_and_names_every_target(folder: Path) -> None:
    shown = make(folder)
    assert shown.returncode == 0
    assert {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("  make ")} == {
        *("attack", "bench", "check", "clean", "demo", "evidence", "help", "lock", "test", "up")
    }


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


def test_incomplete_venv_is_made_again(folder: Path) -> None:
    """The stamp is made last, so that a failed pip leaves no venv that counts as complete."""
    write_program(folder / ".venv" / "bin" / "python", "#!/bin/sh\nexit 1\n")
    left_over = folder / ".venv" / "left over"
    left_over.touch()
    write_program(folder / "python", FAKE_PYTHON)
    stamp = folder / ".venv" / ".installed"

    (folder / "no network").touch()
    assert make(folder, "demo", "PYTHON=./python").returncode != 0
    assert not left_over.exists()
    assert not stamp.exists()

    (folder / "no network").unlink()
    result = make(folder, "demo", "PYTHON=./python")
    assert result.returncode == 0, result.stderr
    assert stamp.exists()
    install = "-m pip --disable-pip-version-check install --quiet --no-input"
    assert result.stdout.splitlines() == [
        f"{install} --require-hashes -r requirements.lock",
        f"{install} --no-deps --no-build-isolation --editable .",
        "-m pipeline.local demo",
    ]


def test_system_pip_installs_into_a_venv_without_ensurepip(folder: Path) -> None:
    write_program(folder / "python", DEBIANS_PYTHON)
    result = make(folder, ".venv/.installed", "PYTHON=./python")
    assert result.returncode == 0, result.stderr
    install = "-m pip --python .venv/bin/python --disable-pip-version-check install --quiet --no-input"
    assert result.stdout.splitlines() == [
        f"{install} --require-hashes -r requirements.lock",
        f"{install} --no-deps --no-build-isolation --editable .",
    ]


def test_new_lock_makes_a_new_venv(ready: Path) -> None:
    write_program(ready / "python", FAKE_PYTHON)
    lock, stamp = ready / "requirements.lock", ready / ".venv" / ".installed"
    newer = lock.stat().st_mtime + 10
    os.utime(lock, (newer, newer))
    result = make(ready, ".venv/.installed", "PYTHON=./python")
    assert "Setting up .venv" in result.stderr
    assert stamp.exists()


@pytest.fixture
def bare(ready: Path) -> dict[str, str]:
    """Return the environment of a machine without a browser, whose root has apt-get."""
    programs = ready / "programs"
    write_program(programs / "id", "#!/bin/sh\necho 0\n")
    write_program(programs / "apt-get", '#!/bin/sh\necho "apt-get $*, with $PATH" >&2\n')
    return {"PATH": str(programs), "BROWSER_PATH": "", "APPLICATIONS": str(ready / "Applications")}


PYTEST = ["-m", "pytest", "--numprocesses", "2", "--dist", "loadfile"]
TESTS = [*PYTEST, "-m", "not attack"]


def test_root_on_debian_installs_a_browser_before_the_tests(ready: Path, bare: dict[str, str]) -> None:
    result = make(ready, "test", **bare)
    assert arguments(result)[1:] == TESTS
    path = f"{bare['PATH']}:/usr/sbin:/sbin"
    assert result.stderr.splitlines() == [
        f"apt-get update, with {path}",
        f"apt-get install --yes --no-install-recommends chromium, with {path}",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_existing_browser_is_used(ready: Path, bare: dict[str, str], name: str) -> None:
    write_program(Path(bare["PATH"]) / name, "#!/bin/sh\n")
    assert make(ready, "test", **bare).stderr == ""


@pytest.mark.parametrize("name", ["Google Chrome", "Chromium"])
def test_mac_app_is_used(ready: Path, bare: dict[str, str], name: str) -> None:
    (Path(bare["APPLICATIONS"]) / f"{name}.app").mkdir(parents=True)
    assert make(ready, "test", **bare).stderr == ""


def test_named_browser_is_used(ready: Path, bare: dict[str, str]) -> None:
    assert make(ready, "test", **bare | {"BROWSER_PATH": "/opt/chrome"}).stderr == ""


@pytest.mark.parametrize(
    ("program", "text"),
    [("id", "#!/bin/sh\necho 1000\n"), ("apt-get", None), ("apt-get", "#!/bin/sh\nexit 100\n")],
    ids=["not root", "no apt-get", "no network"],
)
def test_missing_browser_is_reported_and_the_tests_run(
    ready: Path, bare: dict[str, str], program: str, text: str | None
) -> None:
    path = Path(bare["PATH"]) / program
    path.unlink()
    if text is not None:
        write_program(path, text)
    result = make(ready, "test", **bare)
    assert arguments(result)[1:] == TESTS
    assert "install one (Debian: apt-get install chromium; macOS: brew install --cask chromium)" in result.stderr
