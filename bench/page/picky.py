"""The model function of this measurement: two items in a hundred fail, in more ways than a status tells apart."""

from typing import Any

WAYS_TO_FAIL = 40


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """Answer an item like `item-0000017`."""
    number = int(event.body.decode().rpartition("-")[2])
    if number % 50 == 0:
        letter = chr(ord("a") + number // 50 % WAYS_TO_FAIL)
        return {"statusCode": 422, "body": f"it fails in the way {letter * 30}"}
    return {"statusCode": 200, "body": '{"label": "fine"}'}
