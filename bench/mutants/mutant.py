"""One change to one file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True)
class Mutant:
    """A file with one change: `code` is all of it; `lines` are the statement's, the change begins in `line`."""

    path: str
    line: int
    lines: range
    what: str
    source: str
    code: str

    def change(self) -> tuple[str, str]:
        """Return the first line that differs, before and after, without the space around it."""
        pairs = zip_longest(self.source.splitlines(), self.code.splitlines(), fillvalue="")
        old, new = next(((old, new) for old, new in pairs if old != new), ("", ""))
        return old.strip(), new.strip()
