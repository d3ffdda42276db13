"""Runs the tests once with nothing changed: the lines and scripts that each touches, and its duration."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import coverage
import pytest

from bench.kit.errors import BenchError
from bench.mutants.forks import OPTIONS, enter, run_forked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.mutants.forks import Ground

LIMIT = 3600.0


class Recorder:
    """A plugin that sets the coverage context to the running test, and records its duration and scripts."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self.scripts: dict[str, set[str]] = defaultdict(set)
        self.failed: set[str] = set()
        self._measured = measured
        self._now = ""

    def pytest_sessionstart(self) -> None:
        """Record every run of a script."""
        from pipeline.ledger.scripts import Scripts  # noqa: PLC0415 - the copy's, after coverage began

        inner = Scripts.run

        async def run(scripts: Scripts, script: str, batch: str, /, *rest: Any, **arguments: Any) -> Any:
            self.scripts[script].add(self._now)
            return await inner(scripts, script, batch, *rest, **arguments)

        pytest.MonkeyPatch().setattr(Scripts, "run", run)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Record the duration of one test, and attribute the lines to it."""
        self._now = item.nodeid
        self._measured.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - began
            self._measured.switch_context("")
            self._now = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test that fails with nothing changed."""
        if report.failed:
            self.failed.add(report.nodeid)


def record(ground: Ground, files: Sequence[str], modules: Sequence[str]) -> None:
    """Run tests in the ground, and note the lines and scripts that they touch. Ends the process."""
    enter(ground)
    measured = coverage.Coverage(data_file=None, config_file=False, source=["pipeline"])
    measured.start()
    recorder = Recorder(measured)
    code = pytest.main([*OPTIONS, *files], plugins=[recorder])
    measured.stop()
    data = measured.get_data()
    lines = {module: data.contexts_by_lineno(str(ground.tree.resolve() / module)) for module in modules}
    scripts = {name: sorted(tests) for name, tests in recorder.scripts.items()}
    note = {"seconds": recorder.seconds, "failed": sorted(recorder.failed), "lines": lines, "scripts": scripts}
    ground.note.write_text(json.dumps(note))
    os._exit(int(code))


async def record_in(ground: Ground, files: Sequence[str], modules: Sequence[str]) -> dict[str, Any]:
    """Return the note of a `record` in a process of its own; raises BenchError when it did not end."""
    code = await run_forked(record, ground, files, modules, limit=LIMIT)
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} or not ground.note.exists():
        end = "\n".join(ground.log.read_text(errors="replace").splitlines()[-20:])
        raise BenchError(f"the tests did not run with nothing changed (exit code {code}):\n{end}")
    note: dict[str, Any] = json.loads(ground.note.read_text())
    return note
