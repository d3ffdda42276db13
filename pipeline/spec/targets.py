"""The functions and URLs that a batch calls, and their rules; each raises ValueError."""

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
    """A function, by its name, or a URL that is called when the batch has ended; the answer to a `reduce` is stored."""

    kind: Literal["reduce", "notify"]
    address: str

    @property
    def is_url(self) -> bool:
        """Whether it is a URL, and not a function behind the gateway."""
        return "/" in self.address

    @property
    def shown(self) -> str:
        """The target as it may be shown: of a URL only the origin, since the rest may be a secret."""
        return origin(URL(self.address)) if self.is_url else self.address


def not_itself(value: str, info: ValidationInfo) -> str:
    """Refuse the pipeline's own name."""
    if info.context and value.split(".", maxsplit=1)[0] == info.context.function_name:
        raise ValueError("the pipeline cannot call itself")
    return value


def allowed_function(value: str, info: ValidationInfo) -> str:
    """Refuse a function that the setting allowed_functions does not allow."""
    if info.context and not info.context.allows(value):
        raise ValueError(f"{value!r} is not allowed; allowed are: {info.context.allowed_functions}")
    return value


def split_at_commas(value: Any) -> Any:
    """Split a text with commas, as a query has it; another value stays as it is."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def checked_target(value: str, info: ValidationInfo) -> str:
    """Check a function or a URL, and return it, a URL in normal form. Errors quote only the origin of a URL."""
    if "/" not in value and ":" not in value:
        if not re.fullmatch(FUNCTION_NAME, value):
            raise ValueError(f"{value[:_PREVIEW]!r} is neither the name of a function nor an http:// or https:// URL")
        return allowed_function(not_itself(value, info), info)
    url = web_url(value)
    if info.context and not info.context.allows_url(str(url)):
        there = info.context.allowed_urls or "none, as long as the setting allowed_urls has none"
        raise ValueError(f"this URL of {origin(url)} is not allowed; allowed are: {there}")
    return str(url)


def unique_targets(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a target that is given twice."""
    if len(set(value)) < len(value):
        raise ValueError("a target is given twice")
    return value
