from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from PIL import Image

from pipeline.local.demo.pictures import picture_server
from pipeline.local.demo.squeezenet import PictureError, prepare
from pipeline.local.services.ports import free_port
from tests.rigs.openfaas.function_process import function_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module")
def classify() -> Iterator[str]:
    with function_process("pipeline.local.demo.classify") as url:
        yield url


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as opened:
        yield opened


@pytest.fixture
async def pictures() -> AsyncIterator[str]:
    async with picture_server() as url:
        yield f"{url}/pictures"


async def ask(session: ClientSession, classify: str, url: str) -> tuple[int, Any]:
    async with session.post(classify, data=url) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("chelsea-00.jpg", "Egyptian cat"),
        ("chelsea-03.jpg", "Egyptian cat"),
        ("coffee-00.jpg", "espresso"),
        ("coffee-17.jpg", "espresso"),
        ("camera-00.jpg", "tripod"),
        ("camera-66.jpg", "tripod"),
    ],
)
async def test_photo_is_classified(
    classify: str, session: ClientSession, pictures: str, picture: str, label: str
) -> None:
    status, labels = await ask(session, classify, f"{pictures}/{picture}")
    assert status == HTTPStatus.OK
    assert labels[0]["name"] == label
    assert len(labels) == 5
    scores = [entry["score"] for entry in labels]
    assert scores == sorted(scores, reverse=True)
    assert 0 < sum(scores) <= 1.001


async def test_space_around_the_url_is_ignored(classify: str, session: ClientSession, pictures: str) -> None:
    status, labels = await ask(session, classify, f" {pictures}/coffee-01.jpg\r\n")
    assert (status, labels[0]["name"]) == (HTTPStatus.OK, "espresso")


@pytest.mark.parametrize("url", ["", "chelsea.jpg", "file:///etc/passwd", "http://", "http://[", "http://a:b:c/"])
async def test_invalid_url_is_a_400(classify: str, session: ClientSession, url: str) -> None:
    status, answer = await ask(session, classify, url)
    assert status == HTTPStatus.BAD_REQUEST
    assert answer == {"error": f"not an http(s) URL: {url!r}"}


async def test_body_that_is_not_text_is_a_400(classify: str, session: ClientSession) -> None:
    async with session.post(classify, data=b"\xff\xfe") as response:
        assert response.status == HTTPStatus.BAD_REQUEST


async def test_missing_picture_is_a_422(classify: str, session: ClientSession, pictures: str) -> None:
    status, answer = await ask(session, classify, f"{pictures}/missing-01.jpg")
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer == {"error": "the picture's host answered 404"}


async def test_text_named_jpg_is_a_422(classify: str, session: ClientSession, pictures: str) -> None:
    status, answer = await ask(session, classify, f"{pictures}/notes.jpg")
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer == {"error": "the picture cannot be decoded"}


async def test_unreachable_host_is_retryable(classify: str, session: ClientSession) -> None:
    status, answer = await ask(session, classify, f"http://127.0.0.1:{free_port()}/cat.jpg")
    assert status == HTTPStatus.BAD_GATEWAY
    assert "cannot be reached" in answer["error"]


def cut_jpeg() -> bytes:
    jpeg = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(jpeg, "JPEG")
    return jpeg.getvalue()[:2000]


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (web.Response(status=503), HTTPStatus.BAD_GATEWAY, "answered 503"),
        (web.Response(status=429), HTTPStatus.BAD_GATEWAY, "answered 429"),
        (web.Response(status=403), HTTPStatus.UNPROCESSABLE_ENTITY, "answered 403"),
        (web.Response(body=bytes(20_000_001)), HTTPStatus.UNPROCESSABLE_ENTITY, "larger than 20000000 bytes"),
        (web.Response(body=cut_jpeg()), HTTPStatus.UNPROCESSABLE_ENTITY, "cannot be decoded"),
        (web.Response(body=b""), HTTPStatus.UNPROCESSABLE_ENTITY, "cannot be decoded"),
    ],
)
async def test_errors_of_the_host_have_a_status(
    classify: str, session: ClientSession, answer: web.Response, status: int, error: str
) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server:
        answered, document = await ask(session, classify, str(server.make_url("/")))
    assert answered == status
    assert error in document["error"]


async def test_array_of_urls_is_answered_in_its_order(classify: str, session: ClientSession, pictures: str) -> None:
    urls = [f"{pictures}/coffee-02.jpg", f"{pictures}/missing-00.jpg", "nonsense", f"{pictures}/chelsea-05.jpg"]
    async with session.post(classify, json=urls) as response:
        assert response.status == HTTPStatus.OK
        coffee, missing, nonsense, cat = await response.json()
    assert (coffee[0]["name"], cat[0]["name"]) == ("espresso", "Egyptian cat")
    assert missing == {"error": "the picture's host answered 404"}
    assert nonsense == {"error": "not an http(s) URL: 'nonsense'"}


@pytest.mark.parametrize("body", ["", "{}", '"http://a/b.jpg"', "[1]", "[["])
async def test_json_that_is_no_array_of_urls_is_refused(classify: str, session: ClientSession, body: str) -> None:
    async with session.post(classify, data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == HTTPStatus.BAD_REQUEST
        assert await response.json() == {"error": "the body is not a JSON array of URLs"}


@pytest.mark.parametrize(("mode", "size"), [("L", (1, 3000)), ("CMYK", (300, 300)), ("P", (40, 40)), ("RGBA", (9, 9))])
def test_pictures_of_every_mode_become_network_input(mode: str, size: tuple[int, int]) -> None:
    picture = io.BytesIO()
    Image.new(mode, size).save(picture, "TIFF")
    assert prepare(picture.getvalue()).shape == (1, 227, 227, 3)


def test_picture_too_large_to_decode_is_refused_unread() -> None:
    picture = io.BytesIO()
    Image.new("1", (9000, 9000)).save(picture, "PNG")
    with pytest.raises(PictureError, match="the picture has 81000000 pixels, more than 80000000"):
        prepare(picture.getvalue())
