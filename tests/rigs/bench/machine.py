"""A machine that figures come from."""

from typing import Any

MACHINE: dict[str, Any] = {
    "command": "python -m bench.some",
    "date": "2026-11-25",
    "code": "abc",
    "cpu": "some",
    "cores": 2,
    "load_before": 0.5,
    "system": "Linux",
    "python": "3.11",
}
