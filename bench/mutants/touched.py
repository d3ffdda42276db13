"""Which test touches which line of a module, or which script."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class Touched:
    """What tests touch; `seconds` by test, `failed` are those that fail with nothing changed, and judge nothing."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._scripts: dict[str, set[str]] = defaultdict(set)
        # Lines that run when the module is imported have the test '' too.
        self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))

    def add(self, found: dict[str, Any]) -> None:
        """Take in what `record` has left."""
        self.seconds |= found["seconds"]
        self.failed |= set(found["failed"])
        for name, tests in found["scripts"].items():
            self._scripts[name] |= set(tests)
        for module, lines in found["lines"].items():
            for line, tests in lines.items():
                self._lines[module][int(line)] |= set(tests)

    def by_script(self, name: str) -> set[str]:
        """Return the tests that run a script; all that run any for what is prepended to every script."""
        touching = self._scripts.values() if name in {"fields", "common"} else [self._scripts[name]]
        return self._judging(set().union(*touching))

    def by_lines(self, module: str, lines: range) -> set[str]:
        """Return the tests that touch one of the lines; for lines that an import runs, those that use the module."""
        known = self._lines[module]
        tests: set[str] = set().union(*(known[line] for line in lines if line in known))
        if tests == {""}:
            tests = set().union(*known.values())
        return self._judging(tests)

    def _judging(self, tests: set[str]) -> set[str]:
        return {test for test in tests if test in self.seconds and test not in self.failed}
