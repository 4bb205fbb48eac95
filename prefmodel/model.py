"""The preference model: scores, ranks and compares answers, and explains the scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from prefmodel.arguments import QuestionLike, as_list, one_or_more_questions, one_or_more_texts, one_question, one_text
from prefmodel.backends.choose import open_backend
from prefmodel.backends.interface import checked_threads
from prefmodel.batch_tokens import kept_tokens, machine
from prefmodel.batching import ahead, first_alike, length_batches, window_rows
from prefmodel.bundle import Bundle
from prefmodel.bundle_files import GRAPHS
from prefmodel.encoding import Encoding
from prefmodel.errors import InputError, shown
from prefmodel.explanation import Explanation
from prefmodel.types import Question


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of n (question, answer), in the order they were given.

    Args:
        scores: float32 [n], logits; higher is better, comparable within a question.
        contributions: float32 [n, k], logits; the parts of each score, which sum to it.
        question_cut: int64 [n], tokens of each question that the model did not see.
        answer_cut: int64 [n], tokens of each answer that the model did not see.
    """

    scores: NDArray[np.float32]
    contributions: NDArray[np.float32]
    question_cut: NDArray[np.int64]
    answer_cut: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, place: NDArray[np.int64] | slice) -> Scores:
        """Return the scores at some places, int64 [m] or a slice."""
        return Scores(*(getattr(self, name)[place] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Return the scores of all parts, of which there is at least one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Encoded:
    """n (question, answer) as token ids, each that repeats once.

    Args:
        encodings: those that differ.
        place: int64 [n], the index in `encodings` of each.
    """

    encodings: list[Encoding]
    place: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer of a ranking: its index among the answers that were given, its score in logits, and its text."""

    index: int
    score: float
    answer: str


class PreferenceModel:
    """Tells how good an answer to a question is.

    A question is text, or the messages of one dialogue: dicts with role and content, or `Message` objects. A score is
    a raw logit: higher is better, and scores are comparable within a question. Methods may be called from several
    threads at once.

    Args:
        bundle: the opened bundle; `from_pretrained` finds and opens one.
        threads: CPU threads of one run; by default as many as this process may use.
        backend: what runs the network, a name that `prefmodel info` lists; by default the one that the environment
            variable `PREFMODEL_BACKEND` names, else the fastest that is installed.

    Raises:
        BundleError: the bundle's tokenizer or network cannot be used.
        InputError: `threads` is not 1 or more, or there is no such backend here.

    Example:
        >>> model = PreferenceModel.from_pretrained()
        >>> question = "Why is the sky blue?"
        >>> good = "Air scatters short waves more than long ones, so blue light reaches us from all sides."
        >>> model.score(question, good) > model.score(question, "Bananas are yellow.")
        True
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, backend: str | None = None):
        self.bundle = bundle
        self._encoder = bundle.encoder()
        opened = open_backend(bundle, threads, backend)
        self.backend = opened.backend
        self.passed_over = opened.passed_over
        """Why each backend that would have been faster is not the one that is used, by name."""
        self.threads = checked_threads(threads)
        kept = kept_tokens()
        self.tuned = bool(kept) and self.machine in kept
        """Whether `prefmodel tune` has measured how many tokens to score at once, for this backend on this machine."""
        self.batch_tokens = kept[self.machine] if self.tuned else self.backend.batch_tokens
        """Padded tokens that go through the network at once."""

    @property
    def machine(self) -> str:
        """CPU, threads, backend and graph, for which `prefmodel tune` keeps what it measured."""
        backend = f"{self.backend.name} {self.backend.device} {self.backend.compute}"
        return machine(self.threads, backend, self.bundle.info["files"][GRAPHS[self.bundle.precision]]["sha256"])

    @classmethod
    def from_pretrained(
        cls,
        path_or_hub_name: str | Path | None = None,
        revision: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        backend: str | None = None,
    ) -> PreferenceModel:
        """Load a model.

        Args:
            path_or_hub_name: a bundle's folder, or `owner/name` on the Hugging Face Hub, or None for the default model,
                which is part of the package.
            revision: branch, tag or commit, for the Hub only.
            precision: "int8", "float32" or "float16"; by default what the backend runs best.
            threads: CPU threads of one run; by default as many as this process may use.
            backend: what runs the network, a name that `prefmodel info` lists; by default the one that the environment
                variable `PREFMODEL_BACKEND` names, else the fastest that is installed.

        Raises:
            BundleError: there is no such bundle, or it is damaged; the text names the file.
            InputError: `revision`, `precision`, `threads` or `backend` is not what is allowed.
        """
        return cls(Bundle.open(path_or_hub_name, revision, precision), threads, backend)

    @overload
    def score(self, question: QuestionLike, answer: str) -> float: ...  # type: ignore[overload-overlap] # str is a Sequence[str]
    @overload
    def score(self, question: QuestionLike | Sequence[QuestionLike], answer: Sequence[str]) -> NDArray[np.float32]: ...
    def score(
        self, question: QuestionLike | Sequence[QuestionLike], answer: str | Sequence[str]
    ) -> float | NDArray[np.float32]:
        """Return how good an answer to a question is; with several answers or questions, an array.

        Args:
            question: one question, or n. A list of messages is one question, a list of texts or of lists of messages
                is many, an empty one is none.
            answer: one answer, or n. One question goes with n answers, one answer with n questions.

        Returns:
            A logit as float for one question and one answer, else float32 [n], empty for an empty sequence. Higher is
            better; comparable within a question.

        Raises:
            InputError: a text is empty or no text, or there are different numbers of questions and answers.

        Example:
            >>> model = PreferenceModel.from_pretrained()
            >>> model.score("Why is the sky blue?", ["Rayleigh scattering of sunlight.", "Yes."]).shape
            (2,)
        """
        many_questions = one_or_more_questions(question, "question")
        many_answers = one_or_more_texts(answer, "answer")
        if isinstance(many_questions, list):
            if not isinstance(many_answers, list):
                many_answers = [many_answers] * len(many_questions)
        elif isinstance(many_answers, list):
            many_questions = [many_questions] * len(many_answers)
        else:
            return float(self._score([many_questions], [many_answers]).scores[0])
        return self._score(many_questions, many_answers).scores

    def score_batch(self, questions: Sequence[QuestionLike], answers: Sequence[str]) -> Scores:
        """Return the scores of n questions with one answer each, their parts, and what was cut off.

        Args:
            questions: n questions.
            answers: n answers.

        Raises:
            InputError: a text is empty or no text, or there are different numbers of questions and answers.

        Example:
            >>> model = PreferenceModel.from_pretrained()
            >>> scores = model.score_batch(["Why?", "Why?"], ["Because of x.", "No idea."])
            >>> bool(np.allclose(scores.contributions.sum(axis=1), scores.scores, atol=1e-4))
            True
        """
        checked = [one_question(q, f"questions[{i}]") for i, q in enumerate(_list(questions, "questions"))]
        return self._score(checked, [one_text(a, f"answers[{i}]") for i, a in enumerate(_list(answers, "answers"))])

    def rank(self, question: QuestionLike, answers: Sequence[str]) -> list[Ranked]:
        """Return the answers to one question, best first; answers with equal scores keep their order.

        Raises:
            InputError: a text is empty or no text.

        Example:
            >>> model = PreferenceModel.from_pretrained()
            >>> ranking = model.rank("Why is the sky blue?", ["Yes.", "Air scatters blue light more than red."])
            >>> ranking[0].index
            1
        """
        checked = one_question(question, "question")
        candidates = [one_text(a, f"answers[{i}]") for i, a in enumerate(_list(answers, "answers"))]
        scores = self._score([checked] * len(candidates), candidates).scores
        return ranking(candidates, scores)

    def compare(self, question: QuestionLike, a: str, b: str) -> float:
        """Return the probability that answer `a` is better than answer `b`: sigmoid((s_a - s_b) / temperature).

        Raises:
            InputError: a text is empty or no text.

        Example:
            >>> model = PreferenceModel.from_pretrained()
            >>> model.compare("Why is the sky blue?", "Air scatters blue light more than red.", "Yes.") > 0.5
            True
        """
        checked = one_question(question, "question")
        scores = self._score([checked] * 2, [one_text(a, "a"), one_text(b, "b")]).scores
        return self._probability(scores)

    def explain(self, question: QuestionLike, answer: str, other: str | None = None) -> Explanation:
        """Return the parts of an answer's score, or of what sets it apart from another answer.

        Args:
            question: one question.
            answer: the answer to explain.
            other: an answer to compare it with; the contributions are then differences, answer - other.

        Raises:
            InputError: a text is empty or no text.

        Example:
            >>> model = PreferenceModel.from_pretrained()
            >>> explanation = model.explain("Why is the sky blue?", "Air scatters blue light more than red.")
            >>> abs(sum(explanation.contributions.values()) - explanation.score) < 1e-3
            True
        """
        checked = one_question(question, "question")
        answers = [one_text(answer, "answer")] + ([] if other is None else [one_text(other, "other")])
        scored = self._score([checked] * len(answers), answers)
        parts = scored.contributions[0] if other is None else scored.contributions[0] - scored.contributions[1]
        return Explanation(
            score=float(scored.scores[0]),
            contributions=dict(zip(self.bundle.contributions, parts.tolist(), strict=True)),
            question_cut=int(scored.question_cut[0]),
            answer_cut=int(scored.answer_cut[0]),
            other_score=None if other is None else float(scored.scores[1]),
            other_cut=None if other is None else int(scored.answer_cut[1]),
            probability=None if other is None else self._probability(scored.scores),
            experimental=self.bundle.experimental,
        )

    def encode(self, questions: Sequence[Question], answers: Sequence[str]) -> Encoded:
        """Return n (question, answer) as token ids: the part of `score_batch` that can be done ahead of the graph.

        Args:
            questions: n questions that were checked: text, or a tuple of `Message`.
            answers: n answers, not empty.

        Raises:
            InputError: there are different numbers of questions and answers.

        Example:
            >>> model = PreferenceModel.from_pretrained()
            >>> encoded = model.encode(["Why?", "Why?"], ["Because.", "Because."])
            >>> len(encoded.encodings), encoded.place.tolist()
            (1, [0, 0])
        """
        if len(questions) != len(answers):
            raise InputError(f"there are {len(questions)} questions and {len(answers)} answers; allowed: equally many")
        alike = first_alike(questions, answers)
        distinct, place = np.unique(alike, return_inverse=True)
        some = distinct.tolist()
        encodings = self._encoder.encode_batch([questions[i] for i in some], [answers[i] for i in some])
        return Encoded(encodings, place.reshape(-1).astype(np.int64))

    def score_encoded(self, encoded: Encoded, batch_tokens: int | None = None) -> Scores:
        """Return the scores of what `encode` returned.

        All of it is sorted by length at once, and which inputs share a batch can show in the last bits of a score.

        Args:
            encoded: n (question, answer).
            batch_tokens: padded tokens that go through the graph at once; by default `self.batch_tokens`.
        """
        encodings = encoded.encodings
        scores = np.zeros(len(encodings), np.float32)
        contributions = np.zeros((len(encodings), self.backend.contributions), np.float32)
        for batch in length_batches([len(e) for e in encodings], batch_tokens or self.batch_tokens):
            padded = self._encoder.pad([encodings[i] for i in batch])
            scores[batch], contributions[batch] = self.backend.run(padded)
        cuts = np.array([(e.question_cut, e.answer_cut) for e in encodings], np.int64).reshape(-1, 2)
        return Scores(scores, contributions, cuts[:, 0], cuts[:, 1]).at(encoded.place)

    def _score(self, questions: list[Question], answers: list[str]) -> Scores:
        """Return the scores of all, window by window: what is encoded takes no more memory for more rows."""
        rows = window_rows(self.batch_tokens)
        if len(questions) != len(answers) or len(answers) <= rows:
            return self.score_encoded(self.encode(questions, answers))
        distinct, place = np.unique(first_alike(questions, answers), return_inverse=True)

        def windows() -> Iterator[Encoded]:
            for start in range(0, len(distinct), rows):
                some = distinct[start : start + rows].tolist()
                yield self.encode([questions[i] for i in some], [answers[i] for i in some])

        parts = [self.score_encoded(encoded) for encoded in ahead(windows())]
        return Scores.joined(parts).at(place.reshape(-1))

    def _probability(self, scores: NDArray[np.float32]) -> float:
        """Return the probability that the first of two scored answers is better."""
        margin = (float(scores[0]) - float(scores[1])) / self.bundle.temperature
        return 0.5 * (1.0 + math.tanh(margin / 2.0))  # sigmoid, which in this form cannot overflow


def ranking(answers: Sequence[str], scores: NDArray[np.float32]) -> list[Ranked]:
    """Return answers with their scores, float32 [n], best first; answers with equal scores keep their order.

    >>> [r.answer for r in ranking(["a", "b", "c"], np.array([0.5, 1.5, 0.5], np.float32))]
    ['b', 'a', 'c']
    """
    values = scores.tolist()
    return [Ranked(i, values[i], answers[i]) for i in sorted(range(len(answers)), key=lambda i: -values[i])]


def _list(value: object, name: str) -> list[Any]:
    values = as_list(value)
    if values is None:
        raise InputError(f"{name} is {shown(value)}; allowed: a sequence")
    return values
