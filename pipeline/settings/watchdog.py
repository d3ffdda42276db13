"""What of-watchdog, which runs the function, reads from the same environment (its README, "Configuration")."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

# Of its variables those that say that it is there, and those that have to agree with settings.
_PRESENT = ("mode", "fprocess", "upstream_url")
_LIMITS = ("exec_timeout", "read_timeout", "write_timeout", "healthcheck_interval", "max_inflight")
_DEFAULT = 10.0
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True)
class Watchdog:
    """Its variables, as they are; of those that are not set its defaults count."""

    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        """Whether the function runs behind one, as far as the environment tells."""
        return bool(self.given)

    @property
    def exec_timeout(self) -> float:
        """Seconds for one request, infinite where there is no limit; raises ValueError, as the others do."""
        return self._seconds("exec_timeout", _DEFAULT) or math.inf

    @property
    def read_timeout(self) -> float:
        """Seconds in which a request must have been read, infinite where there is no limit (Go, `http.Server`)."""
        return self._seconds("read_timeout", _DEFAULT) or math.inf

    @property
    def write_timeout(self) -> float:
        """Seconds in which the answer must have been written, infinite where there is no limit."""
        return self._seconds("write_timeout", _DEFAULT) or math.inf

    @property
    def healthcheck_interval(self) -> float:
        """Seconds for which requests are taken after SIGTERM."""
        return self._seconds("healthcheck_interval", self._seconds("write_timeout", _DEFAULT))

    @property
    def max_inflight(self) -> int:
        """Requests at once, above which it answers 429; 0 is any number."""
        return int(self.given.get("max_inflight") or 0)

    def _seconds(self, name: str, default: float) -> float:
        value = self.given.get(name, "")
        if not value:
            return default
        if value.isdecimal():
            return float(value)
        try:
            # Go's 1m30s is ISO 8601's PT1M30S.
            return _DURATION.validate_python(f"PT{value.upper()}").total_seconds()
        except ValidationError:
            raise ValueError(f"{name} {value[:40]!r} is not understood: expected seconds, as in 55s or 1m30s") from None


def read_watchdog(environment: Mapping[str, str]) -> Watchdog:
    """Pick the watchdog's variables; an empty one counts as not set."""
    return Watchdog({name: value for name in (*_PRESENT, *_LIMITS) if (value := environment.get(name))})
