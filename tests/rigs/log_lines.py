"""The log lines of the pipeline, captured as they are written."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from pipeline.logs import formatter


@dataclass
class LogLines:
    """The log lines since the capture began, with their context."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @classmethod
    @contextmanager
    def captured(cls, level: int = logging.DEBUG) -> Iterator[Self]:
        """Capture the log lines of the pipeline at this level or above."""
        lines = cls()
        handler = logging.StreamHandler(lines.stream)
        handler.setFormatter(formatter())
        logger = logging.getLogger("pipeline")
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(level)
        try:
            yield lines
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]
