"""Rules of a specification about whom a batch calls: functions, and who is told of its end."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationInfo
from yarl import URL

from pipeline.settings.environment import FUNCTION_NAME
from pipeline.settings.web_url import origin, web_url

MOST_TARGETS = 8
_PREVIEW = 80


@dataclass(frozen=True)
class Target:
    """Who is called when a batch has ended: a function by its name, or a URL. `reduce`: its answer is kept."""

    kind: Literal["reduce", "notify"]
    address: str

    @property
    def is_url(self) -> bool:
        """Whether it is called at its own address, not through the gateway."""
        return "/" in self.address

    @property
    def shown(self) -> str:
        """What may be shown: of a URL its origin, since the rest may be a secret."""
        return origin(URL(self.address)) if self.is_url else self.address


def not_itself(value: str, info: ValidationInfo) -> str:
    """Refuse the pipeline as a function that it calls; raises ValueError."""
    if info.context and value.split(".", maxsplit=1)[0] == info.context.function_name:
        raise ValueError("the pipeline cannot call itself")
    return value


def allowed(value: str, info: ValidationInfo) -> str:
    """Refuse a function that the settings do not allow; raises ValueError."""
    if info.context and not info.context.allows(value):
        raise ValueError(f"{value!r} is not allowed; allowed are: {info.context.allowed_functions}")
    return value


def listed(value: Any) -> Any:
    """Return the parts of a list that is written with commas, as in a query."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def target(value: str, info: ValidationInfo) -> str:
    """Return who is to be told, a URL in its one spelling; raises ValueError, which quotes no more than its origin."""
    if "/" not in value and ":" not in value:
        if not re.fullmatch(FUNCTION_NAME, value):
            raise ValueError(f"{value[:_PREVIEW]!r} is neither the name of a function nor an http:// or https:// URL")
        return allowed(not_itself(value, info), info)
    url = web_url(value)
    if info.context and not info.context.allows_url(str(url)):
        there = info.context.allowed_urls or "none, as long as the setting allowed_urls has none"
        raise ValueError(f"this URL of {origin(url)} is not allowed; allowed are: {there}")
    return str(url)


def each_once(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse who is named twice; raises ValueError."""
    if len(set(value)) < len(value):
        raise ValueError("a target is given twice")
    return value
