"""Signatures: none serves as another, and keys can be rotated while batches run."""

import dataclasses
import re
from typing import get_args
from urllib.parse import parse_qsl

import pytest

from pipeline.errors import ForbiddenError
from pipeline.identity import Identity, Purpose
from pipeline.openfaas.signing import Signer
from tests.rigs.function.fakes import KEY

NEW_KEY = b"the next key of the tests, as long"
IDENTITY = Identity("batch-1", generation=2, task=3, attempt=4, epoch="e1")
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
URL_PURPOSES = tuple(purpose for purpose in PURPOSES if purpose != "answer")

OTHER_IDENTITIES = (
    dataclasses.replace(IDENTITY, batch="batch-2"),
    dataclasses.replace(IDENTITY, generation=1),
    dataclasses.replace(IDENTITY, task=0),
    dataclasses.replace(IDENTITY, attempt=5),
    dataclasses.replace(IDENTITY, epoch="e2"),
    Identity("batch-1", generation=3, task=2, attempt=4),
    Identity("batch-1", generation=2, task=4, attempt=3),
)


def query_of(signer: Signer, purpose: Purpose, function: str = "") -> dict[str, str]:
    return dict(parse_qsl(signer.query(purpose, IDENTITY, function), strict_parsing=True))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_signed_url_returns_its_identity(signer: Signer, purpose: Purpose) -> None:
    assert signer.verify_query(purpose, query_of(signer, purpose)) == IDENTITY


@pytest.mark.parametrize("used_as", PURPOSES)
@pytest.mark.parametrize("signed_for", PURPOSES)
def test_signature_serves_no_other_purpose(signer: Signer, signed_for: Purpose, used_as: Purpose) -> None:
    query = query_of(signer, signed_for)
    if signed_for == used_as:
        assert signer.verify_query(used_as, query) == IDENTITY
    else:
        with pytest.raises(ForbiddenError, match=f"not that of this {used_as}"):
            signer.verify_query(used_as, query)


@pytest.mark.parametrize("other", OTHER_IDENTITIES, ids=str)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_url_with_another_identity_is_refused(signer: Signer, purpose: Purpose, other: Identity) -> None:
    changed = {name: str(value) for name, value in dataclasses.asdict(other).items()}
    with pytest.raises(ForbiddenError, match="not that of this"):
        signer.verify_query(purpose, query_of(signer, purpose) | changed)


@pytest.mark.parametrize("function", ["", "other", "model2"])
def test_invocation_calls_only_the_function_it_was_signed_for(signer: Signer, function: str) -> None:
    with pytest.raises(ForbiddenError):
        signer.verify_query("task", query_of(signer, "task", "model") | {"function": function})


def test_function_cannot_be_added_to_a_url(signer: Signer) -> None:
    with pytest.raises(ForbiddenError):
        signer.verify_query("callback", query_of(signer, "callback") | {"function": "model"})


@pytest.mark.parametrize("name", ["batch", "generation", "task", "attempt", "key", "sig"])
def test_url_without_one_of_its_parts_is_refused(signer: Signer, name: str) -> None:
    query = query_of(signer, "task", "model")
    del query[name]
    with pytest.raises(ForbiddenError):
        signer.verify_query("task", query)


WRONG_PARTS: dict[str, dict[str, str]] = {
    "a key id that is not there": {"key": "00000000"},
    "an empty key id": {"key": ""},
    "an empty signature": {"sig": ""},
    "a signature of another length": {"sig": "0" * 63},
    "a signature of zeros": {"sig": "0" * 64},
    "a signature beyond ASCII": {"sig": "ä" * 64},
    "a signature that no text encodes": {"sig": "\udcff"},
    "a key id that no text encodes": {"key": "\udcff"},
    "a batch that no text encodes": {"batch": "\udcff"},
    "a task that is no number": {"task": "three"},
    "a task with more digits than a number has": {"task": "1" * 5000},
}


@pytest.mark.parametrize("wrong", WRONG_PARTS.values(), ids=WRONG_PARTS)
def test_url_with_a_wrong_part_is_refused(signer: Signer, wrong: dict[str, str]) -> None:
    with pytest.raises(ForbiddenError):
        signer.verify_query("callback", query_of(signer, "callback") | wrong)


def test_signature_is_compared_as_a_whole(signer: Signer) -> None:
    query = query_of(signer, "callback")
    for wrong in (query["sig"][:-1], query["sig"].upper(), query["sig"] + "0", query["sig"][1:] + query["sig"][0]):
        with pytest.raises(ForbiddenError):
            signer.verify_query("callback", query | {"sig": wrong})


@pytest.mark.parametrize("name", ["generation", "task", "attempt"])
@pytest.mark.parametrize("spelling", ["0{}", "+{}", " {}", "{}\n", "0_{}", "{}.0", "{}e0", "-{}"])
def test_number_has_only_one_spelling(signer: Signer, name: str, spelling: str) -> None:
    query = query_of(signer, "callback")
    with pytest.raises(ForbiddenError, match=r"a signed URL was expected|is not that of"):
        signer.verify_query("callback", query | {name: spelling.format(query[name])})


def test_number_must_be_ascii_digits(signer: Signer) -> None:
    with pytest.raises(ForbiddenError, match="a signed URL was expected"):
        signer.verify_query("callback", query_of(signer, "callback") | {"task": "\N{ARABIC-INDIC DIGIT THREE}"})


def test_parts_cannot_shift_into_the_batch_id(signer: Signer) -> None:
    query = dict(parse_qsl(signer.query("task", Identity("b", 1, 2, 3), "7")))
    with pytest.raises(ForbiddenError):
        signer.verify_query("task", query | {"batch": "b\n1", "generation": "2", "task": "3", "attempt": "7"})


def test_url_does_not_show_the_key(signer: Signer) -> None:
    assert "key" in query_of(signer, "task")
    assert KEY.decode() not in signer.query("task", IDENTITY)
    assert re.fullmatch(r"[0-9a-f]{8}", query_of(signer, "task")["key"])


def test_other_key_verifies_nothing() -> None:
    with pytest.raises(ForbiddenError):
        Signer((NEW_KEY,)).verify_query("task", query_of(Signer((KEY,)), "task"))


def test_key_id_with_the_signature_of_another_key_is_refused() -> None:
    mixed = query_of(Signer((KEY,)), "task") | {"key": query_of(Signer((NEW_KEY,)), "task")["key"]}
    with pytest.raises(ForbiddenError):
        Signer((NEW_KEY, KEY)).verify_query("task", mixed)


def test_newest_key_signs_and_the_old_one_still_verifies() -> None:
    old, rotated, new = Signer((KEY,)), Signer((NEW_KEY, KEY)), Signer((NEW_KEY,))
    assert rotated.query("task", IDENTITY) == new.query("task", IDENTITY)
    assert rotated.answer(IDENTITY, b"body") == new.answer(IDENTITY, b"body")
    assert rotated.verify_query("task", query_of(old, "task")) == IDENTITY
    rotated.verify_answer(IDENTITY, b"body", old.answer(IDENTITY, b"body"))


def test_keys_are_read_again_for_an_unknown_key_id() -> None:
    reads: list[int] = []

    def reload() -> tuple[bytes, ...]:
        reads.append(1)
        return (NEW_KEY, KEY)

    signer = Signer((KEY,), reload)
    assert signer.verify_query("task", query_of(Signer((NEW_KEY,)), "task")) == IDENTITY
    assert signer.keys == (NEW_KEY, KEY)
    assert signer.verify_query("task", query_of(Signer((NEW_KEY,)), "task")) == IDENTITY
    assert len(reads) == 1


def test_keys_are_not_read_again_for_a_known_key_id() -> None:
    def reload() -> tuple[bytes, ...]:
        raise AssertionError

    signer = Signer((KEY,), reload)
    with pytest.raises(ForbiddenError):
        signer.verify_query("task", query_of(signer, "callback"))


def test_missing_keys_leave_the_old_ones() -> None:
    signer = Signer((KEY,), lambda: ())
    with pytest.raises(ForbiddenError):
        signer.verify_query("task", query_of(Signer((NEW_KEY,)), "task"))
    assert signer.keys == (KEY,)


@pytest.mark.parametrize("body", [b"", b"Body", b"body ", b"body\n"])
def test_answer_signature_covers_its_body(signer: Signer, body: bytes) -> None:
    signature = signer.answer(IDENTITY, b"body")
    signer.verify_answer(IDENTITY, b"body", signature)
    with pytest.raises(ForbiddenError):
        signer.verify_answer(IDENTITY, body, signature)


@pytest.mark.parametrize("other", OTHER_IDENTITIES, ids=str)
def test_answer_signature_covers_its_identity(signer: Signer, other: Identity) -> None:
    with pytest.raises(ForbiddenError):
        signer.verify_answer(other, b"body", signer.answer(IDENTITY, b"body"))


@pytest.mark.parametrize("signature", ["", ".", "nonsense", "00000000.", "\udcff.\udcff", "ä.ä"])
def test_malformed_answer_signature_is_refused(signer: Signer, signature: str) -> None:
    with pytest.raises(ForbiddenError, match="not that of this answer"):
        signer.verify_answer(IDENTITY, b"body", signature)


@pytest.mark.parametrize("purpose", URL_PURPOSES)
def test_url_read_in_a_log_settles_nothing(signer: Signer, purpose: Purpose) -> None:
    query = query_of(signer, purpose)
    with pytest.raises(ForbiddenError):
        signer.verify_answer(IDENTITY, b"", f"{query['key']}.{query['sig']}")


def test_call_id_is_stable_for_every_delivery_of_an_attempt() -> None:
    again = Identity("batch-1", generation=2, task=3, attempt=4, epoch="e1")
    assert IDENTITY.call_id() == again.call_id() == "cf9f3be1-9d36-59ab-9891-e7ee566a0120"
    assert IDENTITY.call_id(7) == again.call_id(7) == "dfdc4365-2e2f-57a6-8f22-faf711509831"


def test_call_ids_differ_by_item_attempt_task_generation_and_batch() -> None:
    ids = [identity.call_id(item) for identity in (IDENTITY, *OTHER_IDENTITIES) for item in (None, 0, 1)]
    assert len(set(ids)) == len(ids)
