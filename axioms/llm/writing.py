"""What the axioms with a language model share: writing with prompts, checking what is written, keeping the record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from axioms.llm.cache import Reply, Sampling
from axioms.llm.client import LLM
from axioms.llm.failures import Unanswered
from axioms.llm.prompt import load_prompt
from axioms.text import content_words, matched_lengths, overlap, passage_sentences, sentences
from prefmodel.splits import words
from prefmodel.types import PreferencePair, Thread

Job = TypeVar("Job")

FACT_WORDS = (4, 30)
"""Words of a sentence that can be told again as a fact, at least and at most."""

_REFUSAL = re.compile(
    r"^(?:(?:I['’]?m|I am) (?:sorry|afraid|unable|not able)|(?:I )?apologi[sz]e|sorry\b"
    r"|(?:unfortunately, )?I (?:cannot|can['’]?t|could not|couldn['’]?t|will not|won['’]?t) "
    r"|no answer\b|the (?:evidence|text|passage) (?:does not|doesn['’]t))"
    r"|\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b"
    r"|\b(?:I am|I['’]m) an? (?:AI|language model)\b",
    re.I,
)
_PREFACE = re.compile(r"^(?:\*\*)?(?:answer|response|rewritten answer|text|paragraph)(?:\*\*)?:(?:\*\*)?\s*", re.I)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which written answers make a pair.

    Args:
        least: words of each side.
        most: words of each side.
        slack: the sides' characters differ by at most this share of the longer side's.
        sentences: what a side says after so many is dropped, so that a talkative model does not make the sides unlike.
        repetition: share of the runs of three words that came before in the same side, at most.
    """

    least: int = 8
    most: int = 300
    slack: float = 0.5
    sentences: int = 4
    repetition: float = 0.2


class Skipped(Exception):
    """No pair comes of this; `reason` is a short phrase for the report."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Writer:
    """Writes the texts of one pair, and keeps the record of how.

    Args:
        llm: who writes.
        axiom: name of the axiom, as registered.
    """

    def __init__(self, llm: LLM, axiom: str):
        self._llm, self._axiom = llm, axiom
        self._prompts: dict[str, dict[str, Any]] = {}
        self._tokens = 0

    def write(self, prompt: str, sampling: Sampling, **values: str) -> str:
        """Return what the model writes, tidied.

        Args:
            prompt: name of the prompt.
            sampling: how the text is drawn.
            values: what is filled in.

        Raises:
            Skipped: it refuses, or nothing useful is left.
        """
        loaded = load_prompt(prompt)
        try:
            reply = self._llm.ask(loaded.fill(**values), sampling)
        except Unanswered as refused:
            raise Skipped(refused.reason) from None
        self._prompts[prompt] = {"sha256": loaded.sha256, **asdict(sampling)}
        self._tokens += reply.prompt_tokens + reply.completion_tokens
        return tidy(reply)

    def side(self, prompt: str, sampling: Sampling, bounds: Bounds, **values: str) -> str:
        """Return what is to be one side of the pair: as `write`, without what the model says after enough."""
        return first_sentences(self.write(prompt, sampling, **values), bounds.sentences)

    def pair(
        self, thread: Thread, principle: str, chosen: str, rejected: str, bounds: Bounds, recipe: str, **facts: Any
    ) -> PreferencePair:
        """Return the pair of two texts, with the record of how it was written and `facts` of its own.

        Raises:
            Skipped: the sides are equal, or their lengths out of bounds.
        """
        if chosen.split() == rejected.split():
            raise Skipped("equal sides")
        counts = [len(text.split()) for text in (chosen, rejected)]
        if min(counts) < bounds.least or max(counts) > bounds.most:
            raise Skipped("too short or too long")
        if any(repetition(text) > bounds.repetition for text in (chosen, rejected)):
            raise Skipped("repeats itself")
        if not matched_lengths(chosen, rejected, bounds.slack):
            raise Skipped("unlike lengths")
        return PreferencePair(
            question=thread.question,
            chosen=chosen,
            rejected=rejected,
            axiom=self._axiom,
            principle=principle,
            source=thread.source,
            thread_id=thread.id,
            provenance={
                "recipe": recipe,
                **facts,
                "model": self._llm.options.model,
                "prompts": dict(self._prompts),
                "tokens": self._tokens,
            },
        )


def written(
    llm: LLM, axiom: str, jobs: Iterable[Job], write: Callable[[Writer, Job], PreferencePair]
) -> Iterator[PreferencePair]:
    """Yield the pair that `write` makes of each job, in order; what is skipped is counted in `llm.skipped`."""

    def one(job: Job) -> PreferencePair | str:
        try:
            return write(Writer(llm, axiom), job)
        except Skipped as skipped:
            return skipped.reason

    for made in llm.map(one, jobs):
        if isinstance(made, str):
            llm.skipped[axiom, made] += 1
        else:
            yield made


def tidy(reply: Reply) -> str:
    """Return the text of a reply without a heading; one that was cut at its end loses its last, broken sentence.

    Raises:
        Skipped: it is a refusal, or nothing is left.

    >>> tidy(Reply("Answer: It is blue. It is also", "length", 9, 9))
    'It is blue.'
    """
    text = _PREFACE.sub("", reply.text.strip()).strip()
    if reply.finish in ("refusal", "content_filter") or _REFUSAL.search(text):
        raise Skipped("refused")
    if reply.finish == "length":
        text = text[: max(text.rfind(mark) for mark in (". ", ".\n", "! ", "? ", ".")) + 1]
    if not text:
        raise Skipped("cut short" if reply.finish == "length" else "empty")
    return text


def cut(text: str, words: int) -> str:
    """Return the first sentences of a text, about `words` words; at least one, which is itself cut if it is longer.

    >>> cut("One two. Three four. Five.", 4)
    'One two. Three four.'
    """
    kept: list[str] = []
    for sentence in sentences(text):
        if kept and len(" ".join([*kept, sentence]).split()) > words:
            break
        kept.append(" ".join(sentence.split()[:words]))
    return " ".join(kept)


def evidence(question: str, passages: Sequence[str], words: int) -> str:
    """Return the sentences of passages that share the most words with a question, in their order, about `words` words.

    >>> evidence("Who brews beer?", ["Wine is red and it is old. Monks brew beer in Belgium."], 6)
    'Monks brew beer in Belgium.'
    """
    asked = content_words(question)
    pool = passage_sentences(passages)
    kept: list[int] = []
    for i in sorted(range(len(pool)), key=lambda i: -overlap(asked, content_words(pool[i]))):
        if sum(len(pool[k].split()) for k in (*kept, i)) > words:
            break
        kept.append(i)
    return " ".join(pool[i] for i in sorted(kept))


def supported(text: str, facts: str, question: str) -> float:
    """Return the share of a text's content words, those of the question left out, that its evidence has.

    >>> supported("Beer is old and Belgian.", "Belgian monks brew it.", "Is beer old?")
    1.0
    """
    said = content_words(text) - content_words(question)
    return round(len(said & content_words(facts)) / max(1, len(said)), 3)


def first_sentences(text: str, count: int) -> str:
    """Return the beginning of a text, up to the end of sentence `count`.

    >>> first_sentences("One.\\n\\nTwo. Three.", 2)
    'One.\\n\\nTwo.'
    """
    end = 0
    for sentence in sentences(text)[:count]:
        end = text.index(sentence, end) + len(sentence)
    return text[:end]


def repetition(text: str) -> float:
    """Return the share of the runs of three words that came before in the text, 0 to 1.

    >>> repetition("a cup of tea and a cup of tea")
    0.2857142857142857
    """
    said = words(text)
    runs = list(zip(said, said[1:], said[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def listed(facts: Sequence[str]) -> str:
    """Return facts as the lines of a list.

    >>> listed(["It is old."])
    '- It is old.'
    """
    return "\n".join(f"- {fact}" for fact in facts)


def facts_of(answer: str, count: int) -> list[str]:
    """Return the first `count` sentences of an answer that can be told again as facts; its outline.

    A model that writes the outline itself, if it is small, repeats facts and makes some up.

    >>> facts_of("Why ask? It is old, of course. Yes. It was new in 1950.", 3)
    ['It is old, of course.', 'It was new in 1950.']
    """
    told = (" ".join(sentence.split()) for sentence in sentences(answer))
    kept = (s for s in told if not s.endswith("?") and FACT_WORDS[0] <= len(s.split()) <= FACT_WORDS[1])
    return list(dict.fromkeys(kept))[:count]
