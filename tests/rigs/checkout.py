"""Run `make` in a checkout whose python, pip and uv only show what they are called with."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.rigs.images import ROOT

SHOW_ARGUMENTS = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
# A python whose venv has the same python, and whose pip brings `uv`. The files "no pip", "no wheel" (of uv) and
# "no network" make it fail; the last requirements that pip or uv installed stay in "installed".
FAKE_PYTHON = """#!/bin/sh
for last; do :; done
case "$*" in
  *--version*) test ! -e "no pip";;
  *ensurepip*) test ! -e "no ensurepip";;
  "-m venv"*) echo "$*"; rm -rf .venv && mkdir -p .venv/bin && cp python .venv/bin/python;;
  *--target*)
    echo "$*"; cp "$last" "installed uv"
    test ! -e "no wheel" && mkdir -p .venv/.uv/bin && cp uv .venv/.uv/bin;;
  *--require-hashes*) echo "$*"; cp "$last" installed; test ! -e "no network";;
  "-m"*) echo "$*"
esac
"""
FAKE_UV = """#!/bin/sh
for last; do :; done
echo "uv $*"; test -d "$last" || cp "$last" installed; test ! -e "no network"
"""
UV_PIP = "uv pip install --system-certs --python .venv/bin/python"
LOCKS = ("requirements-local.lock", "requirements.lock")


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_checkout(folder: Path) -> None:
    folder.mkdir()
    for name in ("Makefile", *LOCKS):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    write_program(folder / "python", FAKE_PYTHON)
    write_program(folder / "uv", FAKE_UV)


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, *arguments], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def arguments(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()
