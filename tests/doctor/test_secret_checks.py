"""doctor: the secrets' files, of which nothing but their state is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pipeline.access import Access
from pipeline.doctor.check import Check
from pipeline.doctor.secrets import check_secrets

if TYPE_CHECKING:
    from pipeline.context import Context

HELD = {
    "s3-key": "AKIAHUSHHUSH",
    "s3-secret": "hushhushhush",
    "s3-token": "hushhushhush",
    "redis-password": "hushhushhush",
    "pipeline-key": "hushhushhushhush",
    "pipeline-token": "hushhushhushhushhush",
    "webhook-key": "hushhushhushhushhush",
}


async def checked(folder: Path, held: dict[str, str], *tokens: bytes) -> dict[str, Check]:
    for name, value in held.items():
        (folder / name).write_text(value)
    context = SimpleNamespace(settings=SimpleNamespace(secret_mount_path=folder), access=Access(tokens))
    checks = await check_secrets(cast("Context", context))
    assert "hush" not in str(checks).lower()
    return {check.name.removeprefix("secret: "): check for check in checks}


async def test_secrets_that_are_there(tmp_path: Path) -> None:
    found = await checked(tmp_path, HELD, b"a token")
    assert {name: (check.status, check.found) for name, check in found.items()} == dict.fromkeys(HELD, ("ok", "there"))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *[(name, "failed") for name in ("s3-key", "s3-secret", "pipeline-key")],
        *[(name, "ok") for name in ("s3-token", "redis-password", "webhook-key")],
        ("pipeline-token", "warning"),
    ],
)
async def test_secrets_that_are_not(tmp_path: Path, name: str, status: str) -> None:
    found = await checked(tmp_path, {other: value for other, value in HELD.items() if other != name})
    assert found[name].status == status
    assert "not mounted" in found[name].found or f"secret {name}: cannot read it" in found[name].found


@pytest.mark.parametrize("name", HELD)
async def test_a_secret_that_is_empty_has_failed(tmp_path: Path, name: str) -> None:
    found = await checked(tmp_path, HELD | {name: " \n"}, b"a token")
    assert (found[name].status, found[name].found[-8:]) == ("failed", "is empty")


@pytest.mark.parametrize("name", ["pipeline-key", "pipeline-token", "webhook-key"])
async def test_a_line_that_is_too_short_has_failed(tmp_path: Path, name: str) -> None:
    found = await checked(tmp_path, HELD | {name: f"{HELD[name]}\nhush"}, b"a token")
    each = name.rpartition("-")[2]
    assert found[name].found == f"secret {name}: expected at least 16 characters a {each}"
    assert found[name].status == "failed"


@pytest.mark.parametrize("name", ["pipeline-key", "pipeline-token"])
async def test_two_lines_are_a_rotation(tmp_path: Path, name: str) -> None:
    found = await checked(tmp_path, HELD | {name: f"{HELD[name]}\n{HELD[name]}x"}, b"a token")
    assert (found[name].status, found[name].found) == ("ok", "2 lines: the first is used, all are accepted")
    assert found[name].advice == "the rotation is over once the others are taken out"


async def test_a_token_that_the_function_does_not_know_of_yet_needs_a_restart(tmp_path: Path) -> None:
    found = (await checked(tmp_path, HELD))["pipeline-token in use"]
    assert (found.status, found.found) == ("warning", "it was mounted after the start")


async def test_a_token_that_is_not_mounted_any_more_still_counts(tmp_path: Path) -> None:
    held = {name: value for name, value in HELD.items() if name != "pipeline-token"}
    found = (await checked(tmp_path, held, b"a token"))["pipeline-token in use"]
    assert (found.status, found.found) == ("warning", "it is not mounted any more")


async def test_each_webhook_key_signs_while_they_are_replaced(tmp_path: Path) -> None:
    found = await checked(
        tmp_path, HELD | {"webhook-key": f"{HELD['webhook-key']}\n{HELD['webhook-key']}x"}, b"a token"
    )
    assert (found["webhook-key"].status, found["webhook-key"].found) == ("ok", "2 lines: each signs")


async def test_a_webhook_key_that_is_no_base64_has_failed(tmp_path: Path) -> None:
    found = (await checked(tmp_path, HELD | {"webhook-key": "whsec_hush.hush.hush"}, b"a token"))["webhook-key"]
    assert (found.status, found.found) == ("failed", "secret webhook-key: what follows whsec_ is not base64")
