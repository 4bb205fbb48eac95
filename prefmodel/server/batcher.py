"""The queue in front of the model: joins the rows of many requests, and scores them on one thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from prefmodel.bundle import Bundle
from prefmodel.model import PreferenceModel, Scores
from prefmodel.server.checks import question_texts
from prefmodel.server.metrics import Metrics
from prefmodel.server.problems import Problem
from prefmodel.server.settings import Settings
from prefmodel.types import Question

CHARS_OF_A_SEEN_TOKEN = 32
"""Tokens that the model does not see cost time as well, to be tokenised: about 1/32 of one that goes through it."""


@dataclass(eq=False, slots=True)
class _Job:
    """The rows of one request: `costs` in tokens, `taken` of them already on their way through the model."""

    questions: Sequence[Question]
    answers: Sequence[str]
    costs: list[int]
    future: asyncio.Future[Scores]
    arrived: float
    taken: int = 0
    parts: list[Scores] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.costs) - self.taken


class Batcher:
    """A bounded queue of rows, scored in the order of their requests, many requests at a time.

    Everything but the scoring itself happens on the event loop, so that there is nothing to lock. Tokenising belongs
    to scoring: it happens on the scoring thread. One thread, because onnxruntime spreads each run over all CPUs that
    it may use; where several processes use them better, there is `--workers`.

    Args:
        model: scores the rows.
        settings: how much may wait, and what is scored together.
        metrics: counts rows and batches.
    """

    def __init__(self, model: PreferenceModel, settings: Settings, metrics: Metrics):
        self._model, self._settings, self._metrics = model, settings, metrics
        self._thread = ThreadPoolExecutor(1, "scoring")
        self._queue: dict[_Job, None] = {}  # a dict, because it keeps the order and forgets a member at once
        self._waiting = asyncio.Event()
        self._queued = 0
        self._tokens_per_second = 0.0
        self._runner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Score one row, which sets up what is set up on first use, and open the queue."""
        row = (["Why is the sky blue?"], ["Air scatters blue light more than red light."])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._model.score_batch, *row)
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Close the queue; who still waits gets a 503."""
        self.give_up()
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
        self._thread.shutdown(wait=False, cancel_futures=True)

    def give_up(self) -> None:
        """Answer everybody who waits with a 503."""
        for job in list(self._queue):
            if not job.future.done():
                job.future.set_exception(Problem(503, "the server is shutting down", headers={"Retry-After": "1"}))

    @property
    def bundle(self) -> Bundle:
        """The bundle of the model."""
        return self._model.bundle

    @property
    def alive(self) -> bool:
        """Whether the queue is open and served."""
        return self._runner is not None and not self._runner.done()

    def check_room(self) -> None:
        """Raise a Problem with status 503 when enough is waiting already; costs next to nothing."""
        if self._queued < self._settings.queue_tokens:
            return
        seconds = math.ceil(self._queued / self._tokens_per_second) if self._tokens_per_second else 1
        retry = {"Retry-After": str(min(max(seconds, 1), 60))}
        limit = self._settings.queue_tokens
        raise Problem(503, f"the queue holds {self._queued} tokens; allowed: {limit}", headers=retry)

    def cost(self, question: Question, answer: str) -> int:
        """Return about how many tokens of work a row is.

        UTF-8 bytes over 4 is within a tenth of the true number on English text, and does not fall far short of it on
        others, as characters over 4 would.
        """
        config = self._model.bundle.encoding
        asked = sum(_size(text) for text in question_texts(question))
        answered = _size(answer)
        seen = min(config.max_tokens, min(asked, config.question_tokens) + answered + 4)
        return seen + (asked + answered) // CHARS_OF_A_SEEN_TOKEN

    async def score(self, questions: Sequence[Question], answers: Sequence[str]) -> Scores:
        """Return the scores of n questions with one answer each, once their turn has come.

        Args:
            questions: n checked questions.
            answers: n checked answers.

        Raises:
            Problem: 503 too much is waiting; 504 it took too long. Rows that were not begun are then dropped, as
                they are when the caller is cancelled.
        """
        self.check_room()
        if not answers:
            return self._model.score_batch([], [])
        loop = asyncio.get_running_loop()
        costs = [self.cost(q, a) for q, a in zip(questions, answers, strict=True)]
        job = _Job(questions, answers, costs, loop.create_future(), loop.time())
        self._queue[job] = None
        self._count(sum(costs))
        self._waiting.set()
        limit = self._settings.request_seconds
        try:
            return await asyncio.wait_for(job.future, limit)
        except asyncio.TimeoutError:  # not the builtin one before Python 3.11
            raise Problem(504, f"the request waited {limit:g} seconds; allowed: no longer") from None
        finally:
            self._forget(job)

    def _forget(self, job: _Job) -> None:
        if job in self._queue:
            del self._queue[job]
            self._count(-sum(job.costs[job.taken :]))
            self._metrics.dropped.inc(job.left)

    def _count(self, tokens: int) -> None:
        self._queued += tokens
        self._metrics.queued.set(self._queued)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._waiting.wait()
            await self._let_others_join()
            taken = self._take()
            if not self._queue:
                self._waiting.clear()
            if not taken:
                continue
            started = loop.time()
            slices = [(job, slice(job.taken - n, job.taken)) for job, n in taken.items()]
            pieces = [(job.questions[rows], job.answers[rows]) for job, rows in slices]
            results = await loop.run_in_executor(self._thread, self._score, pieces)
            self._measure(sum(sum(job.costs[rows]) for job, rows in slices), loop.time() - started, results)
            for (job, _), result in zip(slices, results, strict=True):
                self._hand_back(job, result)

    async def _let_others_join(self) -> None:
        """Wait a few milliseconds for further requests, unless the oldest has waited that long already."""
        oldest = next(iter(self._queue), None)
        if oldest is not None and self._queued < self._settings.batch_tokens:
            due = oldest.arrived + self._settings.wait_ms / 1000
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    def _take(self) -> dict[_Job, int]:
        """Take the rows to score next off the queue; return how many of each request.

        The oldest request may have half of the batch, so that a big one gets on however many small ones come. The
        rest goes round, a row a request, so that small ones get through however big the oldest is.
        """
        taken: dict[_Job, int] = {}
        ring = deque(self._queue)
        oldest, room = next(iter(self._queue), None), self._settings.batch_tokens
        share = room // 2
        while ring:
            job = ring[0]
            cost = job.costs[job.taken]
            if taken and cost > room:
                break
            job.taken += 1
            taken[job] = taken.get(job, 0) + 1
            room -= cost
            self._count(-cost)
            if job is oldest:
                share -= cost
            if not job.left:
                del self._queue[ring.popleft()]
            elif job is not oldest or share <= 0:
                ring.rotate(-1)
        return taken

    def _score(self, pieces: list[tuple[Sequence[Question], Sequence[str]]]) -> list[Scores | Exception]:
        """Score the rows of several requests together; runs on the scoring thread."""
        try:
            scores = self._model.score_batch([q for qs, _ in pieces for q in qs], [a for _, xs in pieces for a in xs])
        except BaseException as error:  # also a panic in Rust: it must end neither this queue nor other requests
            if len(pieces) == 1:
                return [error if isinstance(error, Exception) else RuntimeError(repr(error))]
            return [result for piece in pieces for result in self._score([piece])]
        ends = np.cumsum([len(answers) for _, answers in pieces])
        return [
            _rows(scores, int(end) - len(answers), int(end)) for end, (_, answers) in zip(ends, pieces, strict=True)
        ]

    def _measure(self, tokens: int, seconds: float, results: list[Scores | Exception]) -> None:
        scored = [result for result in results if isinstance(result, Scores)]
        rows = sum(map(len, scored))
        self._metrics.rows.inc(rows)
        self._metrics.cut.inc(sum(int(((s.question_cut > 0) | (s.answer_cut > 0)).sum()) for s in scored))
        self._metrics.batch.observe(rows)
        self._metrics.busy.inc(seconds)
        speed = tokens / max(seconds, 1e-6)
        # A moving average over about five batches: one of odd lengths shall not set Retry-After alone.
        self._tokens_per_second = 0.8 * self._tokens_per_second + 0.2 * speed if self._tokens_per_second else speed

    def _hand_back(self, job: _Job, result: Scores | Exception) -> None:
        if job.future.done():  # cancelled, timed out or failed
            return
        if isinstance(result, Exception):
            job.future.set_exception(result)
            return
        job.parts.append(result)
        if not job.left:
            job.future.set_result(_joined(job.parts))


def _size(text: str) -> int:
    """Return about how many tokens a text has."""
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // 4 + 1


def _rows(scores: Scores, start: int, end: int) -> Scores:
    part = slice(start, end)
    return Scores(scores.scores[part], scores.contributions[part], scores.question_cut[part], scores.answer_cut[part])


def _joined(parts: list[Scores]) -> Scores:
    if len(parts) == 1:
        return parts[0]
    return Scores(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.contributions for part in parts]),
        np.concatenate([part.question_cut for part in parts]),
        np.concatenate([part.answer_cut for part in parts]),
    )
