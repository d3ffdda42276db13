"""The model function of the round trip: a label and a score for each object of a JSON array.

The answer to an item follows from its `id`, so that a reader of the results knows what they have to be.
"""

import json
from typing import Any

LABELS = ("espresso", "tripod", "tabby", "moped", "disk brake", "jinrikisha", "Egyptian cat")
SCORES = 1_000


async def handle(event: Any, _context: object) -> list[dict[str, Any]]:
    """Label each object of the array; a CSV has its numbers as text."""
    numbers = [int(item["id"]) for item in json.loads(event.body)]
    return [{"label": LABELS[number % len(LABELS)], "score": number % SCORES / SCORES} for number in numbers]
