from __future__ import annotations

import io
from http import HTTPStatus

from aiohttp import ClientSession
from PIL import Image

from pipeline.local.demo.pictures import image_urls, load_photos, picture_server, variant


def test_rows_are_distinct_except_for_the_failing_ones() -> None:
    urls = image_urls("http://host", 200)
    failing = [url for url in urls if "missing" in url or "notes" in url]
    assert len(urls) == 200
    assert [url.rpartition("/")[2] for url in failing] == ["missing-00.jpg", "notes.jpg", "missing-02.jpg", "notes.jpg"]
    good = [url for url in urls if url not in failing]
    assert len(set(good)) == len(good)
    assert all(url.startswith("http://host/pictures/") for url in urls)


def test_variants_are_distinct_and_reproducible() -> None:
    photo = load_photos()["chelsea"]
    made = [variant(photo, number) for number in range(40)]
    assert len(set(made)) == 40
    assert made[7] == variant(photo, 7)
    with Image.open(io.BytesIO(made[7])) as image:
        assert image.format == "JPEG"
        assert 0.8 * photo.width < image.width < photo.width


async def test_server_answers_every_row() -> None:
    async with picture_server() as base_url, ClientSession() as session:
        statuses = {}
        for url in image_urls(base_url, 30):
            async with session.get(url) as response:
                await response.read()
                statuses[url.rpartition("/")[2]] = response.status
                assert response.status == HTTPStatus.NOT_FOUND or response.content_type == "image/jpeg"
    missing = [name for name, status in statuses.items() if status != HTTPStatus.OK]
    assert missing == ["missing-00.jpg"]
