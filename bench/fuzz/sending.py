"""Sends steps, and judges their answers."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests import Response
from schemathesis import Case

from bench.fuzz.calls import FRESH, INPUTS, Call
from bench.fuzz.described import BAD_REQUEST, NO_MODE, SERVER_ERROR, modes, problems
from bench.fuzz.raw import PATIENCE, NoAnswerError, Raw, exchange, read_answers
from bench.fuzz.signed import USES, Signed, identity_of, is_as_signed
from bench.fuzz.stage import Stage

Step = Call | Signed | Raw

REQUEST = frozenset({"method", "url", "headers", "params", "data", "json", "files"})
SHOWN = 1500


@dataclass
class Seen:
    """The record so far: answers counted by mode and status, batches, violations; several threads write it."""

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    conversations: int = 0
    unanswered: int = 0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, status: int) -> None:
        """Count an answer."""
        with self.lock:
            self.counts[name, status] += 1


@dataclass(frozen=True)
class Sender:
    """Sends the steps of one conversation, whose batches are `<prefix>-<number>`."""

    stage: Stage
    seen: Seen
    prefix: str

    def send(self, step: Step) -> None:
        """Send a step and note the violations of its answer."""
        try:
            match step:
                case Call():
                    wrong = self._call(step)
                case Signed():
                    wrong = self._signed(step)
                case Raw():
                    wrong = self._raw(step)
        except (NoAnswerError, requests.RequestException) as error:
            wrong = [f"no answer: {str(error)[:300]}"]
            self.seen.unanswered += 1
        if wrong:
            text = repr(step)
            shown = text if len(text) < SHOWN else f"{text[:1000]}...{text[-300:]}"
            self.seen.violations += [f"{problem}: {shown}" for problem in wrong]

    def _call(self, step: Call) -> list[str]:
        number = next(self.seen.numbers) if step.batch == FRESH else 0
        batch = f"{self.prefix}-new-{number:07d}" if step.batch == FRESH else f"{self.prefix}-{step.batch}"
        step.prepare([*INPUTS][number % len(INPUTS)], batch if step.batch is not None else None)
        token = self.stage.token if step.token is None else step.token
        headers = {"Authorization": token} if token else {}
        headers |= {"X-Mode": step.name} if step.name in modes() else {}
        answer = self._answer(step.case, headers | dict(step.headers), body=step.body)
        # A header of the step may name another mode.
        named = dict(step.headers).get("X-Mode", step.name).lower()
        name = named if step.name in {*modes(), NO_MODE, "GET /"} and named in modes() else step.name
        self.seen.count(name, answer.status_code)
        wrong = problems(name, answer, authorized=step.token is None)
        taken = answer.json() if name == "batch" and answer.ok else {}
        if taken and "dry_run" not in taken:
            self.seen.accepted.add(taken["batch_id"])
        elif step.batch == FRESH and ("dry_run" in taken or BAD_REQUEST <= answer.status_code < SERVER_ERROR):
            left = self.stage.wait(self.stage.left_of(batch))
            wrong += [f"a refused batch left {left}"] if left else []
        if name == "delete" and answer.status_code == 200:  # noqa: PLR2004
            self.seen.deleted.add(answer.json()["batch_id"])
        return wrong

    def _answer(
        self, case: Case[Any], headers: Mapping[str, str], query: str = "", body: bytes | None = None
    ) -> Response:
        """Send a case with more headers; `query` and `body` come in place of its own, as they are."""
        sent = case.as_transport_kwargs(base_url=self.stage.url, headers=dict(headers))
        if body is not None:
            sent = {name: sent[name] for name in ("method", "url", "headers")} | {"data": body}
        request = requests.Request(**{name: value for name, value in sent.items() if name in REQUEST}).prepare()
        if query:
            request.url = f"{str(request.url).partition('?')[0]}?{query}"
        with requests.Session() as session:
            return session.send(request, timeout=PATIENCE)

    def _signed(self, step: Signed) -> list[str]:
        queries = self.stage.record.queries[step.purpose]
        if not queries:
            return []
        original = queries[-1 - step.url % len(queries)]
        query, chosen = step.change.apply(original), step.chosen(self.stage.record.answers, original)
        headers = {"X-Mode": step.use} if step.use in modes() else {}
        headers |= {"X-Pipeline-Signature": chosen.signature} if chosen else {}
        answer = self._answer(step.case, headers, query, (chosen.body if chosen else b"") + step.body)
        self.seen.count(step.use, answer.status_code)
        wrong = problems(step.use, answer)
        genuine = USES[step.purpose] == step.use and is_as_signed(original, query)
        if not genuine and answer.status_code not in {400, 403, 413}:
            wrong.append(f"{answer.status_code} {answer.content[:100]!r} for {query!r}, which is not signed")
        other = identity_of(chosen.query if chosen else "") != identity_of(query)
        if (other or step.body) and b'"settled"' in answer.content:
            wrong.append(f"settled {query!r} by the answer of another task")
        return wrong

    def _raw(self, step: Raw) -> list[str]:
        received = exchange(self.stage.port, step.sent, whole=step.answers is not None)
        try:
            answers = read_answers(received, step.sent.partition(b" ")[0].decode("latin-1"))
        except NoAnswerError:
            # The answer to nonsense may be in HTTP/0.9, or cut off in the middle.
            if step.answers is not None:
                raise
            answers = []
        for status, _ in answers:
            self.seen.count("raw", status)
        wrong = [f"answered {status} {body[:100]!r}" for status, body in answers if is_wrong(status, body)]
        if step.answers is not None and len(answers) != step.answers:
            wrong.append(f"{len(answers)} answers, not {step.answers}")
        return wrong


def is_wrong(status: int, body: bytes) -> bool:
    """Return whether an answer is a server error, or a refusal in JSON without a word."""
    wordless = body.startswith(b"{") and not json.loads(body).get("error")
    return status >= SERVER_ERROR or (status >= BAD_REQUEST and wordless)
