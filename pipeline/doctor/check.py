"""A check and its verdict; checks run side by side, each within a time limit, and none raises."""

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
    """The result of a check: its name, its verdict, the finding, and the advice, '' if there is nothing to do."""

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


Group = Callable[[Context], Awaitable[list[Check]]]


def ok(name: str, finding: str, advice: str = "") -> Check:
    """Return a check that found nothing wrong; with advice there is something to know."""
    return Check(name, "ok", finding, advice)


def warning(name: str, finding: str, advice: str) -> Check:
    """Return a check that found a risk."""
    return Check(name, "warning", finding, advice)


def failed(name: str, finding: str, advice: str) -> Check:
    """Return a check that found a problem which keeps batches from running."""
    return Check(name, "failed", finding, advice)


async def run(groups: Mapping[str, Group], context: Context) -> list[Check]:
    """Run groups of checks side by side; a group that raises, or takes over 15 s, counts as a failed check."""
    results = await asyncio.gather(*(_run(name, group, context) for name, group in groups.items()))
    return [check for checks in results for check in checks]


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
