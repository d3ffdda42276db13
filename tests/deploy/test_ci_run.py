"""`.ci/run` runs all that must be green, and ends with one line of counts."""

import subprocess
from pathlib import Path

import pytest

from tests.rigs.images import ROOT

# Prints the lines of the target, and fails if they tell of a failure.
FAKE_MAKE = """#!/bin/sh
echo "$1" >> targets
cat "$1.txt"
! grep -q failed "$1.txt"
"""


def run(folder: Path, **printed: str) -> subprocess.CompletedProcess[str]:
    for target in ("check", "test", "attack"):
        (folder / f"{target}.txt").write_text(printed.get(target, "") + "\n")
    program = folder / ".ci" / "run"
    program.parent.mkdir()
    program.write_bytes((ROOT / ".ci" / "run").read_bytes())
    (folder / "make").write_text(FAKE_MAKE)
    (folder / "make").chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    return subprocess.run(["bash", program], env={"PATH": path}, capture_output=True, text=True, check=False)


TESTS, ATTACKS = "3946 passed, 2 deselected in 243.58s (0:04:03)", "2 passed in 56.42s"


def test_last_line_is_the_sum_of_tests_and_attacks(tmp_path: Path) -> None:
    result = run(tmp_path, test=TESTS, attack=ATTACKS)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "3948 passed in 300.00s"
    assert (tmp_path / "targets").read_text().split() == ["check", "test", "attack"]


@pytest.mark.parametrize(
    ("printed", "last"),
    [
        ({"check": "1 file failed the format", "test": TESTS, "attack": ATTACKS}, "3948 passed in 300.00s"),
        (
            {"test": "2 failed, 3 passed, 1 error in 1.50s", "attack": ATTACKS},
            "2 failed, 1 errors, 5 passed in 57.92s",
        ),
        ({"test": TESTS, "attack": "1 failed in 1.00s"}, "1 failed, 3946 passed in 244.58s"),
    ],
    ids=["check", "test", "attack"],
)
def test_a_failure_stops_nothing_and_is_the_end(tmp_path: Path, printed: dict[str, str], last: str) -> None:
    result = run(tmp_path, **printed)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == last
    assert (tmp_path / "targets").read_text().split() == ["check", "test", "attack"]
