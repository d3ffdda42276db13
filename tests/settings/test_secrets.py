"""Secrets come from files; an error about one never shows its value."""

import base64
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.settings.secrets import read_secrets

GOOD = {
    "s3-key": b"access\n",
    "s3-secret": b"hunter2\n",
    "s3-token": b"passing\n",
    "redis-password": b"swordfish\n",
    "pipeline-key": b"0123456789abcdef\n",
    "webhook-key": b"0123456789abcdefg\n",
}


def mount(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_secrets_are_read_without_their_last_newline(tmp_path: Path) -> None:
    secrets = read_secrets(mount(tmp_path, GOOD))
    assert (secrets.s3_key, secrets.s3_secret, secrets.s3_token) == ("access", "hunter2", "passing")
    assert secrets.redis_password == "swordfish"
    assert secrets.keys == (b"0123456789abcdef",)


def test_redis_password_and_session_token_are_optional(tmp_path: Path) -> None:
    without = {name: content for name, content in GOOD.items() if name not in {"redis-password", "s3-token"}}
    secrets = read_secrets(mount(tmp_path, without))
    assert (secrets.redis_password, secrets.s3_token) == (None, None)


@pytest.mark.parametrize("name", ["s3-key", "s3-secret", "pipeline-key"])
def test_missing_secret_is_named(tmp_path: Path, name: str) -> None:
    (mount(tmp_path, GOOD) / name).unlink()
    with pytest.raises(ConfigurationError, match=rf"^secret {name}: cannot read it under .*\(FileNotFoundError\)"):
        read_secrets(tmp_path)


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
@pytest.mark.parametrize("name", GOOD)
def test_empty_secret_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match=rf"^secret {name}: the file under .* is empty"):
        read_secrets(mount(tmp_path, GOOD | {name: content}))


@pytest.mark.parametrize("name", GOOD)
def test_binary_secret_is_named_and_not_shown(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^secret {name}: .*\(UnicodeDecodeError\)$") as caught:
        read_secrets(mount(tmp_path, GOOD | {name: b"hunter2hunter2hunter2\xff"}))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["pipeline-key", "pipeline-token", "webhook-key"])
@pytest.mark.parametrize("keys", [b"0123456789abcde", b"0123456789abcdef\nshort-and-sly"])
def test_short_key_is_refused_and_not_shown(tmp_path: Path, keys: bytes, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^secret {name}: expected at least 16 characters") as caught:
        read_secrets(mount(tmp_path, GOOD | {name: keys}))
    assert "0123456789" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_several_keys_are_read_newest_first(tmp_path: Path) -> None:
    keys = b"the-newest-key-00\r\n\nthe-older-key-000\n"
    assert read_secrets(mount(tmp_path, GOOD | {"pipeline-key": keys})).keys == (
        b"the-newest-key-00",
        b"the-older-key-000",
    )


def test_tokens_are_read_if_mounted(tmp_path: Path) -> None:
    tokens = b"the-newest-token-00\r\n\nthe-older-token-000\n"
    assert read_secrets(mount(tmp_path, GOOD | {"pipeline-token": tokens})).tokens == (
        b"the-newest-token-00",
        b"the-older-token-000",
    )
    (tmp_path / "pipeline-token").unlink()
    assert read_secrets(tmp_path).tokens == ()


@pytest.mark.parametrize("content", [b"", b" \n", b"0123456789abcdef\xff"])
def test_token_file_without_a_token_never_opens_the_function(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"^secret pipeline-token: "):
        read_secrets(mount(tmp_path, GOOD | {"pipeline-token": content}))


def test_secrets_do_not_show_in_their_repr(tmp_path: Path) -> None:
    shown = repr(read_secrets(mount(tmp_path, GOOD)))
    assert not [content for content in GOOD.values() if content.decode().strip() in shown]


def test_webhook_keys_are_text_or_base64_and_optional(tmp_path: Path) -> None:
    keys = b"whsec_" + base64.b64encode(b"k" * 24) + b"\n0123456789abcdefg\n"
    assert read_secrets(mount(tmp_path, GOOD | {"webhook-key": keys})).webhook_keys == (b"k" * 24, b"0123456789abcdefg")
    (tmp_path / "webhook-key").unlink()
    assert read_secrets(tmp_path).webhook_keys == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"whsec_hunter2hunter2ab", "expected 24 to 64 bytes after whsec_"),
        (b"whsec_" + base64.b64encode(b"k" * 65), "expected 24 to 64 bytes after whsec_"),
        (b"whsec_hunter2hunter2hunter2hunter2hunter!", "what follows whsec_ is not base64"),
    ],
    ids=["too short", "too long", "no base64"],
)
def test_malformed_webhook_key_is_refused_and_not_shown(tmp_path: Path, line: bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_secrets(mount(tmp_path, GOOD | {"webhook-key": line}))
    assert str(caught.value) == f"secret webhook-key: {problem}"
