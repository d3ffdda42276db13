"""Signatures of webhooks, verified by the reference implementation of Standard Webhooks."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pipeline.settings.secrets import webhook_key
from pipeline.webhooks import signer as signing
from pipeline.webhooks.signer import WebhookSigner
from tests.rigs.function.fakes import Clock
from tests.rigs.log_lines import LogLines

BODY = b'{"type": "batch.ended"}'
SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four byte").decode()


def signed(*keys: bytes, seconds: float = 0) -> dict[str, str]:
    return WebhookSigner(keys).headers("an id", int(time.time() + seconds), BODY)


def test_reference_verifies_a_key_in_its_own_form() -> None:
    headers = signed(webhook_key(SECRET.encode()))
    assert headers["webhook-id"] == "an id"
    assert Webhook(SECRET).verify(BODY, headers) == {"type": "batch.ended"}


def test_reference_verifies_a_text_key() -> None:
    assert Webhook(b"a line of text").verify(BODY, signed(webhook_key(b"a line of text"))) == {"type": "batch.ended"}


def test_both_keys_verify_during_a_rotation() -> None:
    headers = signed(b"the new key", b"the old key")
    for key in (b"the new key", b"the old key"):
        assert Webhook(key).verify(BODY, headers)
    assert len(headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "webhook-signature", "body", "key"])
def test_changed_notification_is_refused(changed: str) -> None:
    headers = signed(b"a key")
    body = BODY + b" " if changed == "body" else BODY
    if changed in headers:
        other = str(int(headers["webhook-timestamp"]) - 1) if changed == "webhook-timestamp" else "v1,AAAA"
        headers[changed] = other
    with pytest.raises(WebhookVerificationError):
        Webhook(b"another key" if changed == "key" else b"a key").verify(body, headers)


def test_replayed_notification_is_refused() -> None:
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(b"a key").verify(BODY, signed(b"a key", seconds=-301))


def test_replaced_key_signs_at_once_and_a_missing_key_keeps_the_known() -> None:
    files = [(b"the new key",), ()]
    webhooks = WebhookSigner((b"the old key",), lambda: files.pop(0))
    for _ in range(2):
        assert Webhook(b"the new key").verify(BODY, webhooks.headers("an id", int(time.time()), BODY))
    assert files == []


def test_missing_key_is_logged_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(signing, "time", clock)
    webhooks = WebhookSigner()
    with LogLines.captured() as lines:
        for _ in range(24 * 60):
            assert not webhooks.is_ready()
            clock.now += 60
        assert 20 < len(lines.all()) < 40
        webhooks.reload = lambda: (b"a key",)
        assert webhooks.is_ready()
        webhooks.keys, webhooks.reload = (), tuple
        before = len(lines.all())
        assert not webhooks.is_ready()
        assert len(lines.all()) == before + 1
