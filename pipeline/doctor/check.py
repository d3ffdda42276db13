"""A check and its verdict, and how checks are run: side by side, each in its time, none raises."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.context import Context
from pipeline.errors import ConfigurationError, PipelineError

LIMIT = 15.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do, '' where there is nothing to do."""

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


Group = Callable[[Context], Awaitable[list[Check]]]


def ok(name: str, found: str, advice: str = "") -> Check:
    """Return a check that has found nothing wrong; with advice there is something to know."""
    return Check(name, "ok", found, advice)


def warning(name: str, found: str, advice: str) -> Check:
    """Return a check that has found what may do harm."""
    return Check(name, "warning", found, advice)


def failed(name: str, found: str, advice: str) -> Check:
    """Return a check that has found what keeps batches from running."""
    return Check(name, "failed", found, advice)


async def run(groups: Mapping[str, Group], context: Context) -> list[Check]:
    """Run groups of checks side by side; one that raises, or takes too long, is itself a check that has failed."""
    found = await asyncio.gather(*(_run(name, group, context) for name, group in groups.items()))
    return [check for checks in found for check in checks]


async def _run(name: str, group: Group, context: Context) -> list[Check]:
    try:
        async with asyncio.timeout(LIMIT):
            return await group(context)
    except TimeoutError:
        return [failed(name, f"no answer within {LIMIT:g} s", "see its address in the settings, and the network")]
    except (PipelineError, ConfigurationError) as error:
        return [failed(name, str(error), "see pipeline/docs/operate.md, 'What you see and what it means'")]
    except Exception as error:
        log.exception("unexpected error in a check of doctor")
        return [failed(name, f"the check itself broke ({type(error).__name__})", "the function's log says more")]
