"""Sends steps, and judges their answers."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from bench.fuzz import description
from bench.fuzz.steps import IDENTITY, USES, Call, Raw, Signed, Step, apply_change, fields_of, identity_of, is_as_signed
from bench.fuzz.wire import Answer, NoAnswerError, Request, ask, exchange, read_answers

if TYPE_CHECKING:
    from bench.fuzz.stage import SignedAnswer, Stage

# aiohttp itself refuses, in plain text, longer lines, these headers twice, and bodies that it cannot unpack.
LONGEST_LINE = 8000
ONCE = (b"content-type", b"user-agent", b"content-length", b"host")
RECENT = 200
SERVER_ERROR = 500
BAD_REQUEST = 400
UNAUTHORIZED = 401
_CALLBACKS = {b"/collect": "collect", b"/collect/direct": "collect", b"/collect/probe": "probe"}
_TEXT = re.compile(rb"[\x21-\x7e]*")


@dataclass
class Seen:
    """The record so far: answers counted by mode and status, batches, violations."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    fresh: int = 0


@dataclass(frozen=True)
class Sender:
    """Sends the steps of one conversation, whose batches are `<prefix>-<number>`."""

    stage: Stage
    seen: Seen
    prefix: str

    async def send(self, step: Step) -> None:
        """Send a step and note the violations of its answer."""
        try:
            match step:
                case Call():
                    problems = await self._call(step)
                case Signed():
                    problems = await self._signed(step)
                case Raw():
                    problems = await self._raw(step)
        except NoAnswerError as error:
            problems = [str(error)]
            self.seen.counts[("no answer", "-")] += 1
        self.seen.violations += [f"{problem}: {_shown(step)}" for problem in problems]

    async def _call(self, step: Call) -> list[str]:
        batch = step.batch
        if step.fresh:
            self.seen.fresh += 1
            batch = f"{self.prefix}-new-{self.seen.fresh:07d}".encode()
        elif isinstance(batch, int):
            batch = f"{self.prefix}-{batch}".encode()
        request = self._request(step, batch)
        mode = mode_of(request)
        answer = await ask(self.stage.port, request, bodiless=not _beyond_the_server(request))
        problems = self._judge(mode, request, answer)
        name = batch.decode(errors="replace") if batch else ""
        is_taken = mode == "batch" and answer.status in {200, 201, 202} and answer.has_body
        document: dict[str, Any] = json.loads(answer.body) if is_taken else {}
        is_tried = "dry_run" in document
        if is_taken and not is_tried:
            self.seen.accepted.add(document["batch_id"])
        elif step.fresh and (is_tried or BAD_REQUEST <= answer.status < SERVER_ERROR):
            problems += await self._leftovers(name)
        if mode == "delete" and answer.status == 200:  # noqa: PLR2004
            self.seen.deleted.add(json.loads(answer.body)["batch_id"] if answer.has_body else name)
        return problems

    def _request(self, step: Call, batch: bytes | None) -> Request:
        query, headers = list(step.query), list(step.headers)
        if step.mode is not None:
            headers.append((b"X-Mode", step.mode))
        if batch is not None and (step.batch_in == "header" or step.fresh):
            headers.append((b"X-Batch-Id", batch))
        elif batch is not None:
            query.append((b"batch", batch))
        if not any(name.lower() == b"authorization" for name, _ in headers):
            headers.append(self.stage.authorization)
        joined = b"&".join(b"%s=%s" % pair for pair in query)
        target = step.path + (b"?" + joined if joined else b"")
        return Request(step.method, target, headers, step.body, step.chunked)

    def _judge(self, mode: str, request: Request, answer: Answer) -> list[str]:
        self.seen.counts[(mode, str(answer.status))] += 1
        problems = description.problems(mode, answer)
        by_server = answer.status == BAD_REQUEST and answer.content_type == description.HTTP_LAYER and answer.has_body
        if by_server:
            return problems + [f"refused as HTTP: {answer.body[:200]!r}"] * (not _beyond_the_server(request))
        token = [value for name, value in request.headers if name.lower() == b"authorization"]
        open_to_all = description.modes().get(mode, {}).get("signed") or mode.startswith("/") or mode == "no mode"
        if not open_to_all and token != [self.stage.authorization[1]] and answer.status not in {400, 401, 413}:
            problems.append(f"{answer.status} without a token")
        return problems

    async def _leftovers(self, batch: str) -> list[str]:
        left = await self.stage.keys(batch)
        for prefix in (batch, f"open/pipeline/{batch}", f"ended/pipeline/{batch}"):
            left += await self.stage.objects(prefix)
        return [f"a refused batch left {left}"] if left else []

    async def _signed(self, step: Signed) -> list[str]:
        queries = self.stage.record.queries[step.purpose]
        if not queries:
            self.seen.counts[("not signed yet", "-")] += 1
            return []
        original = queries[-1 - step.url % len(queries)]
        query = apply_change(original, step)
        headers, body = list(step.headers), step.body
        answer_of: dict[str, str] = {}
        chosen = self._chosen(step, original)
        if chosen:
            headers = [pair for pair in headers if pair[0].lower() != b"content-encoding"]
            headers.append((b"X-Pipeline-Signature", chosen.signature))
            body, answer_of = chosen.body + step.body, fields_of(chosen.query)
        is_callback = step.mode.startswith("collect")
        if not is_callback:
            headers = [pair for pair in headers if pair[0].lower() != b"x-mode"]
            headers.append((b"X-Mode", step.mode.encode()))
        path = f"/{step.mode if is_callback else ''}?".encode()
        request = Request(b"POST", path + query, headers, body)
        answer = await ask(self.stage.port, request)
        problems = self._judge(mode_of(request), request, answer)
        genuine = USES[step.purpose] == step.mode and is_as_signed(original, query)
        if not genuine and answer.status not in {400, 403, 413}:
            problems.append(f"{answer.status} {answer.body[:100]!r} for {query!r}, which is not signed")
        fields = fields_of(query)
        others = [name for name in IDENTITY if answer_of.get(name) != fields.get(name)]
        if (others or step.body) and b'"settled"' in answer.body:
            problems.append(f"settled {query!r} by the answer of another task")
        return problems

    def _chosen(self, step: Signed, query: bytes) -> SignedAnswer | None:
        answers = self.stage.record.answers
        if step.answer == "own":
            fields = identity_of(query)
            answers = [answer for answer in answers[-RECENT:] if identity_of(answer.query) == fields]
            return answers[-1] if answers else None
        return answers[-1 - step.answer % len(answers)] if answers and step.answer is not None else None

    async def _raw(self, step: Raw) -> list[str]:
        received = await exchange(self.stage.port, step.sent, whole=step.answers is not None)
        try:
            answers = read_answers(received, step.sent.partition(b" ")[0])
        except NoAnswerError:
            # The answer to nonsense may be in HTTP/0.9, or cut off in the middle.
            if step.answers is not None:
                raise
            answers = []
        for answer in answers:
            self.seen.counts[("raw", str(answer.status))] += 1
        problems = [f"answered {answer.status}" for answer in answers if answer.status >= SERVER_ERROR]
        if step.answers is not None and len(answers) != step.answers:
            problems.append(f"{len(answers)} answers, not {step.answers}")
        return problems + [problem for answer in answers for problem in _unlike_an_error(answer)]


def mode_of(request: Request) -> str:
    """Return the mode of a request by the description."""
    path, _, _ = request.target.partition(b"?")
    path = unquote_to_bytes(path)
    if request.method in {b"GET", b"HEAD"} and path.decode(errors="replace") in description.fixed():
        return path.decode()
    if path.rstrip(b"/") in _CALLBACKS:
        return _CALLBACKS[path.rstrip(b"/")]
    headers: dict[bytes, bytes] = {}
    for name, value in request.headers:
        headers.setdefault(name.lower(), value)
    mode = headers.get(b"x-mode", b"").decode(errors="replace").strip().lower()
    if mode in description.modes():
        return mode
    if not mode and request.method in {b"GET", b"HEAD"}:
        return "status"
    return "sweep" if not mode and headers.get(b"x-connector") == b"cron-connector" else description.NO_MODE


def _beyond_the_server(request: Request) -> bool:
    headers = [(name.lower(), value) for name, value in request.headers]
    names = [name for name, _ in headers]
    return (
        any(len(line) > LONGEST_LINE for line in (request.target, *map(b"".join, headers)))
        or any(names.count(name) > 1 for name in ONCE)
        or b"content-encoding" in names
        or not _TEXT.fullmatch(request.target)
    )


def _unlike_an_error(answer: Answer) -> list[str]:
    if answer.status < BAD_REQUEST or answer.content_type != "application/json" or not answer.body:
        return []
    document: dict[str, Any] = json.loads(answer.body)
    return [] if document.get("error") else [f"{answer.status} without a word: {answer.body[:100]!r}"]


def _shown(step: Step) -> str:
    text = repr(step)
    return text if len(text) < 1500 else f"{text[:1000]}...{text[-300:]}"  # noqa: PLR2004
