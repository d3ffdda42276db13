"""`make` passes the options of the user, and finds a browser for the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.kit.browser import NAMES
from tests.rigs.checkout import arguments, make, write_program
from tests.rigs.images import ROOT

HOSTILE = 'it\'s a "b" $HOME `x` \\ *.csv'


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


@pytest.fixture
def bare(ready: Path) -> dict[str, str]:
    """Return the environment of a machine without a browser, whose root has apt-get."""
    programs = ready / "programs"
    write_program(programs / "id", "#!/bin/sh\necho 0\n")
    write_program(programs / "apt-get", '#!/bin/sh\necho "apt-get $*, with $PATH" >&2\n')
    return {"PATH": str(programs), "BROWSER_PATH": "", "APPLICATIONS": str(ready / "Applications")}


PYTEST = ["-m", "pytest", "--numprocesses", "3", "--dist", "loadfile"]
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
