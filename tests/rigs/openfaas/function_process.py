from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.local.services.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 300


@contextmanager
def function_process(*arguments: str) -> Iterator[str]:
    """Run `python -m <arguments>` as a function; yields its URL once it says that it is healthy."""
    port = str(free_port())
    process = subprocess.Popen([sys.executable, "-m", *arguments], env={**os.environ, "port": port})
    try:
        _wait_until_healthy(process, f"http://127.0.0.1:{port}/_/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the function ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url):
                return
        except urllib.error.URLError:
            time.sleep(0.02)
    raise TimeoutError(url)
