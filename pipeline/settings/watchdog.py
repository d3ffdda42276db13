"""The variables of of-watchdog, which runs the function in the same environment (its README, "Configuration")."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

# Variables that show that it is there, and variables that must agree with the settings.
_PRESENT = ("mode", "fprocess", "upstream_url")
_LIMITS = ("exec_timeout", "read_timeout", "write_timeout", "healthcheck_interval", "max_inflight", "jwt_auth")
_DEFAULT = 10.0
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True)
class Watchdog:
    """The variables as text; a missing one has the watchdog's default."""

    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        """Whether the function runs behind a watchdog, by its variables."""
        return bool(self.variables)

    @property
    def exec_timeout(self) -> float:
        """Seconds for one request, infinite without a limit; raises ValueError, as the next three do."""
        return self._seconds("exec_timeout", _DEFAULT) or math.inf

    @property
    def read_timeout(self) -> float:
        """Seconds within which a request must be read, infinite without a limit (Go, `http.Server`)."""
        return self._seconds("read_timeout", _DEFAULT) or math.inf

    @property
    def write_timeout(self) -> float:
        """Seconds within which the answer must be written, infinite without a limit."""
        return self._seconds("write_timeout", _DEFAULT) or math.inf

    @property
    def healthcheck_interval(self) -> float:
        """Seconds in which requests are still taken after SIGTERM."""
        return self._seconds("healthcheck_interval", self._seconds("write_timeout", _DEFAULT))

    @property
    def max_inflight(self) -> int:
        """Maximum of requests at a time, above which it answers 429; 0 is no limit."""
        return int(self.variables.get("max_inflight") or 0)

    @property
    def needs_function_token(self) -> bool:
        """Whether it answers 401 to each request without a token of OpenFaaS' function authentication."""
        return self.variables.get("jwt_auth", "").lower() in {"true", "1"}

    def _seconds(self, name: str, default: float) -> float:
        value = self.variables.get(name, "")
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
    """Select the watchdog's variables; an empty one counts as not set."""
    return Watchdog({name: value for name in (*_PRESENT, *_LIMITS) if (value := environment.get(name))})
