"""The files that the Dockerfile copies are the function: it starts from them alone, answers, and stops on request."""

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from pipeline.handler import MODES
from pipeline.local.stack import ALLOCATOR
from tests.rigs.images import HANDLER, OUTSIDE, copy_image_files, function, image_environment, in_context, seconds
from tests.rigs.waiting import wait_until

SHIPPED = {".py", ".lua", ".yaml", ".html", ".css", ".js"}
SECRETS = {"s3-key": "AKIA", "s3-secret": "hidden", "redis-password": "hidden", "pipeline-key": "k" * 32}


@dataclass(frozen=True)
class Served:
    url: str
    folder: Path
    process: asyncio.subprocess.Process


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Hold a port that refuses connections: bound, but not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "app"
    copy_image_files(target)
    return target


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment from stack.yml and the image, with paths and ports of this machine."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, value in SECRETS.items():
        (secrets / name).write_text(value)
    home = tmp_path / "tmp"
    home.mkdir()
    with closed_port() as closed:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        yield {
            "PATH": os.environ["PATH"],
            **image_environment(),
            **function("pipeline")["environment"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "secret_mount_path": str(secrets),
            "redis_url": f"redis://127.0.0.1:{closed}",
            "s3_endpoint": f"http://127.0.0.1:{closed}",
            "gateway_url": f"http://127.0.0.1:{closed}",
            "port": str(port),
        }


@pytest.fixture
async def served(folder: Path, environment: dict[str, str]) -> AsyncIterator[Served]:
    program, *arguments = shlex.split(environment["fprocess"])
    assert program == "python"
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=folder, env=environment)
    url = f"http://127.0.0.1:{environment['port']}"
    try:
        await wait_until(lambda: is_serving(url, process))
        yield Served(url, folder, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_serving(url: str, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, "the function ended instead of serving"
    with contextlib.suppress(aiohttp.ClientConnectionError):
        return await request(url + "/_/health") == (200, "OK")
    return False


async def request(url: str, method: str = "GET") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        return response.status, await response.text()


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_image_contains_the_function_and_nothing_else(folder: Path) -> None:
    shipped = {path.relative_to("pipeline") for path in files(folder) if path.parts[0] == "pipeline"}
    source = {path for path in HANDLER.rglob("*") if path.suffix in SHIPPED}
    wanted = {path.relative_to(HANDLER) for path in source if path.relative_to(HANDLER).parts[0] not in OUTSIDE}
    assert {path for path in shipped if path.suffix} == wanted | {Path("py.typed"), Path("requirements.txt")}
    assert {path.name for path in folder.iterdir()} == {"pipeline", "requirements.txt"}


def test_build_context_contains_the_copied_files_without_the_local_stack(folder: Path) -> None:
    shipped = [path for path in (folder / "pipeline").rglob("*") if path.is_file()]
    assert shipped
    assert all(in_context(HANDLER / path.relative_to(folder / "pipeline")) for path in shipped)
    assert in_context(HANDLER / "requirements.txt")
    for outside in (
        "local/stack.py",
        "local/demo/run.py",
        "client/batch.py",
        "cli/app.py",
        "modes/__pycache__/x.pyc",
        "__pycache__/x.pyc",
        "docs/deploy.md",
        ".dockerignore",
    ):
        assert not in_context(HANDLER / outside), outside


def test_running_code_is_that_of_the_image(folder: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", "import pipeline.handler; print(pipeline.handler.__file__)"]
    shown = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert Path(shown.stdout.strip()) == folder / "pipeline" / "handler.py"


async def test_image_is_live_but_not_ready_without_redis(served: Served) -> None:
    assert await request(served.url + "/_/health") == (200, "OK")
    status, text = await request(served.url + "/_/ready")
    assert status == 503
    assert "Redis" in text
    assert "Traceback" not in text


async def test_request_without_a_mode_lists_the_modes(served: Served) -> None:
    status, text = await request(served.url + "/", "POST")
    assert status == 400
    assert "X-Mode" in text
    assert all(mode in text for mode in MODES)


async def test_metrics_and_api_description_are_served(served: Served) -> None:
    assert await request(served.url + "/openapi.yaml") == (200, (HANDLER / "openapi.yaml").read_text())
    status, text = await request(served.url + "/metrics")
    assert status == 200
    assert "pipeline_build_info" in text


async def test_sigterm_ends_the_function_within_the_watchdogs_time(served: Served) -> None:
    """Any other exit code ends the watchdog at once, with requests in flight."""
    served.process.send_signal(signal.SIGTERM)
    within = seconds(function("pipeline")["environment"]["write_timeout"])
    assert await asyncio.wait_for(served.process.wait(), within) == 0


async def test_nothing_is_written_beside_the_code(served: Served) -> None:
    """The root file system is read-only."""
    before = files(served.folder)
    await request(served.url + "/", "POST")
    served.process.send_signal(signal.SIGTERM)
    await served.process.wait()
    assert files(served.folder) == before
    assert not [path for path in before if path.name == "__pycache__"]


async def test_missing_secrets_end_the_function_with_a_reason(folder: Path, environment: dict[str, str]) -> None:
    missing = environment | {"secret_mount_path": str(folder)}
    command = (sys.executable, *shlex.split(environment["fprocess"])[1:])
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=missing, stderr=subprocess.PIPE)
    _, output = await process.communicate()
    assert process.returncode == 1
    assert output.decode().startswith("secret ")
    assert "Traceback" not in output.decode()


def test_image_runs_as_an_unprivileged_user() -> None:
    text = (HANDLER / "Dockerfile").read_text()
    user = next(line.split()[1] for line in text.splitlines() if line.startswith("USER "))
    assert all(part.isdecimal() and int(part) > 0 for part in user.split(":"))
    assert "--require-hashes" in text
    assert image_environment()["mode"] == "http"
    assert image_environment()["HOME"] == "/tmp"


def test_allocator_of_polars_returns_memory_at_once() -> None:
    assert image_environment().items() >= ALLOCATOR.items()
    ((name, value),) = ALLOCATOR.items()
    command = (sys.executable, "-c", "import polars")
    # Polars warns about an unknown option.
    asked = subprocess.run(
        command, env={**os.environ, name: f"{value},nonsense:1"}, capture_output=True, text=True, check=True
    )
    assert asked.stderr.strip() == "<jemalloc>: Invalid conf pair: nonsense:1"
