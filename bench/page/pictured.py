"""The model function of the page's picture: each item takes a moment, and some fail."""

import asyncio
import random
from typing import Any

SLOWEST = 0.55
FAILURES = {
    31: (422, "the picture cannot be decoded"),
    83: (404, "the picture's host does not know it"),
    127: (413, "the picture is too large"),
}


async def handle(event: Any, _context: object) -> dict[str, Any]:
    """Answer with a label, or fail by the item's number; how long it takes follows from the number as well."""
    number = int("".join(filter(str.isdigit, event.body.decode())))
    chance = random.Random(number)
    await asyncio.sleep(SLOWEST * chance.betavariate(2, 5) * (0.7 + 0.6 * (number // 90 % 2)))
    status, message = next((failure for every, failure in FAILURES.items() if number % every == 0), (200, ""))
    return {"statusCode": status, "body": {"error": message} if message else {"label": "espresso", "score": 0.98}}
