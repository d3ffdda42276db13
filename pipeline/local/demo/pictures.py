"""Photos for the demo, served on loopback: each photo of the folder `photos` in any number of variants.

`GET /pictures/<photo>-<number>.jpg` is the photo as a JPEG, mirrored, rotated and cropped by the number: a URL always
has the same bytes, and each URL has different ones. Number 0 is the photo unchanged.
"""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FOLDER = Path(__file__).with_name("photos")
# In the order of the rows.
PHOTOS = ("chelsea", "coffee", "camera")
NOT_A_PICTURE = "notes.jpg"
# One row in this many fails, so that the demo shows failures too.
FAILING_EVERY = 50


def image_urls(base_url: str, count: int) -> list[str]:
    """Return `count` picture URLs below `base_url` (no trailing slash), all different except the failing ones.

    Every fiftieth really fails: in turn a missing picture (404) and a text file named `.jpg`.
    """
    return [f"{base_url}/pictures/{_name(row)}" for row in range(count)]


def _name(row: int) -> str:
    turn, position = divmod(row, FAILING_EVERY)
    if position == FAILING_EVERY // 2:
        return f"missing-{turn:02}.jpg" if turn % 2 == 0 else NOT_A_PICTURE
    variant, photo = divmod(row, len(PHOTOS))
    return f"{PHOTOS[photo]}-{variant:02}.jpg"


def load_photos() -> dict[str, Image.Image]:
    """Read the photos: RGB, by name without extension."""
    photos = {}
    for name in PHOTOS:
        with Image.open(FOLDER / f"{name}.jpg") as photo:
            photos[name] = photo.convert("RGB")
    return photos


def variant(photo: Image.Image, number: int) -> bytes:
    """Return variant `number` (0 or more) of a photo as a JPEG."""
    image = ImageOps.mirror(photo) if number % 2 else photo
    # The cycle lengths share no factor, so 2 x 5 x 11 combinations come before one repeats.
    angle, inset = (number * 2) % 5 - 2, (number * 3) % 11
    if number:
        # A rotation by 2 degrees leaves black corners of less than 4 % of a side; the crop removes them.
        rotated = image.rotate(angle, Image.Resampling.BILINEAR)
        edge_x, edge_y = (round(side * (4 + inset / 2) / 100) for side in rotated.size)
        image = rotated.crop((edge_x, edge_y, rotated.width - edge_x, rotated.height - edge_y))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80 + number // 110 % 16)
    return jpeg.getvalue()


PHOTOS_BY_NAME = web.AppKey("photos_by_name", dict[str, Image.Image])


async def picture(request: web.Request) -> web.Response:
    """Answer with the variant in the URL, or 404."""
    photos = request.app[PHOTOS_BY_NAME]
    photo, number = request.match_info["photo"], int(request.match_info["number"])
    if photo not in photos:
        raise web.HTTPNotFound
    # In a thread, because the gateway stand-in may share this event loop.
    jpeg = await asyncio.to_thread(variant, photos[photo], number)
    return web.Response(body=jpeg, content_type="image/jpeg")


async def not_a_picture(_request: web.Request) -> web.Response:
    """Answer with text in place of a picture, as some hosts do."""
    return web.Response(text="This is a text file with the wrong name.\n", content_type="image/jpeg")


def create_app() -> web.Application:
    """Build the picture server."""
    app = web.Application()
    app[PHOTOS_BY_NAME] = load_photos()
    app.router.add_get(f"/pictures/{NOT_A_PICTURE}", not_a_picture)
    app.router.add_get(r"/pictures/{photo:[a-z]+}-{number:\d{1,9}}.jpg", picture)
    return app


@asynccontextmanager
async def picture_server() -> AsyncIterator[str]:
    """Serve the pictures on a free loopback port while the context is open; yields the base URL."""
    runner = web.AppRunner(create_app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
