"""The shell that runs the commands of a page, in a folder with the files and programs that they name."""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.rigs.images import ROOT

# Programs that not every machine has are scripts here; the project's own programs are those of this checkout.
STAND_INS = ("curl", "openssl")
SCRIPTS = {"faas-cli": "tests.rigs.docs.programs.faas_cli", "pipeline": "pipeline.cli"}
SCRIPTS |= {name: f"tests.rigs.docs.programs.{name}" for name in STAND_INS if shutil.which(name) is None}

# Seconds after which a command fails its own test.
LONGEST = 300.0


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """A folder and environment variables."""

    folder: Path
    variables: Mapping[str, str]

    async def run(self, text: str, **more: str) -> Ran:
        """Run a command line unchanged with /bin/sh."""
        return await self._run("/bin/sh", "-c", text, **more)

    async def python(self, text: str, *arguments: str) -> Ran:
        """Run a script; its warnings are errors."""
        return await self._run(sys.executable, "-W", "error", "-c", text, *arguments)

    async def _run(self, *command: str, **more: str) -> Ran:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.folder), "PYTHONPATH": str(ROOT), **self.variables, **more}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LONGEST):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ran(process.returncode or 0, out.decode(), err.decode())


def make_shell(folder: Path, variables: Mapping[str, str]) -> Shell:
    """Put the programs into `bin`, and those of the project where `make` would, into `.venv/bin`."""
    for place in (folder / "bin", folder / ".venv" / "bin"):
        place.mkdir(parents=True)
        for name, module in SCRIPTS.items():
            write_program(place / name, f'exec {sys.executable} -m {module} "$@"')
        for name in ("python", "python3"):
            write_program(place / name, f'exec {sys.executable} "$@"')
    return Shell(folder, variables)


def write_program(path: Path, line: str) -> None:
    """Write a script of one line."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
