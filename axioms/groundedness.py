"""Axiom 2, groundedness: an answer that its evidence supports is better than one with unsupported sentences in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

from axioms.chunks import leans
from axioms.corruptions import put
from axioms.neighbours import Neighbour, closest, neighbours, strangers
from axioms.relevance import best_answer
from axioms.text import CACHED, content_words, holds, overlap, passage_sentences, sentences, similar_length, weave
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "groundedness"

_SUPPORTED = 0.6
"""Share of the content words of a sentence that stand in the evidence, or in another sentence that says nearly it."""
_NAME = re.compile(r"(?<!^)(?<![.?!:] )\b[A-Z][\w'’-]+(?: (?:(?:of|the|de|van|and) )?[A-Z][\w'’-]+)*")
_ALONE, _LONGER = r"\b{0}\b", r"[A-Z]\w* {0}\b|\b{0} [A-Z]"
"""A name, and a longer one that it is part of: "Lake Washington"."""
_FINITE = re.compile(
    r" (?:is|are|was|were|has|have|had|does|did|can|could|will|would|may|might|must|should|became|becomes|began|came|"
    r"gave|gives|give|went|held|knows|led|left|lost|made|makes|make|met|ran|saw|says|said|sold|took|takes|won|wrote) "
)
"""A verb that a whole sentence may have and a heading or a note hardly has."""
_PLAIN = re.compile(r"[A-Z][^\n]*[.!?]")


@dataclass(frozen=True, slots=True)
class GroundednessConfig:
    """How much of an answer is unsupported.

    Args:
        woven: at most so many sentences are woven into one answer.
        depth: two threads are put together if one is among the so many most similar ones of the other.
        nearest: and their similarity is less than this; what is said of the same topic may be right for both.
        uses: a thread is put together with others until it has so many.
    """

    woven: int = 2
    depth: int = 4
    nearest: float = 0.4
    uses: int = 1


@dataclass(frozen=True, slots=True)
class _Case:
    """What a pair is made of: the thread, the sentences of its answer, and those of its evidence that it leaves out."""

    thread: Thread
    parts: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, thread: Thread) -> _Case:
        parts = sentences(best_answer(thread).text)
        said = [content_words(part) for part in parts]
        unsaid = [
            sentence
            for sentence in passage_sentences(thread.passages)
            if _FINITE.search(sentence)
            and not leans(sentence)
            and all(overlap(told, known) < _SUPPORTED for told in [content_words(sentence)] for known in said)
        ]
        return cls(thread, parts, unsaid)

    def knows(self, sentence: str) -> bool:
        """Tell whether a sentence stands in the passages or in the answer, where it is not foreign."""
        return holds((*self.thread.passages, " ".join(self.parts)), sentence)

    def beside(self, other: _Case) -> _Case:
        """Return the case without the evidence that the other one knows too."""
        return replace(self, evidence=[sentence for sentence in self.evidence if not other.knows(sentence)])


Sides = tuple[list[str], list[str], int]
"""The sentences of the chosen and of the rejected side, and how many of them are unsupported."""


def build(threads: Sequence[Thread], rng: Random, config: GroundednessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of a supported answer and the same answer with unsupported sentences in it.

    Two threads with similar questions give two pairs, in which the same sentences change sides: what supports the one
    answer is foreign to the other. So neither their words nor their length tells a supported sentence. Two threads
    with a passage in common are not put together, and what both know is not exchanged.

    Recipes: "woven", both sides get sentences woven in, the chosen one from its own passages, the rejected one from
    those of the other thread; "transplanted", the same with one sentence about each question's topic, in which the
    name of the other topic gives way to that of the own one; "replaced", a sentence of the other's answer stands in
    place of one of the own.

    Source: arXiv 2312.02206, axiom 2, without a language model.

    Raises:
        MissingExtraError: bm25s is not installed.

    >>> from prefmodel.types import Answer
    >>> ask = lambda i, q, a, p: Thread(f"demo/{i}", "demo", q, (Answer(a),), (p,))
    >>> threads = [ask(0, "Who brews beer?", "Monks do.", "Belgian abbeys make most of it."),
    ...            ask(1, "Who drinks beer?", "Czechs do.", "Prague has most bars here.")]
    >>> pair = min(build(threads, Random(0)), key=lambda pair: pair.thread_id)
    >>> pair.chosen, pair.rejected
    ('Monks do. Belgian abbeys make most of it.', 'Monks do. Prague has most bars here.')
    """
    config = config or GroundednessConfig()
    with_evidence = [t for t in threads if t.passages and t.answers]
    topics = [f"{thread.question} {best_answer(thread).text}" for thread in with_evidence]
    near = strangers(with_evidence, neighbours(with_evidence, config.depth, texts=topics))
    found = [[hit for hit in hits if hit.similarity < config.nearest] for hits in near]
    case_of = lru_cache(maxsize=CACHED)(lambda index: _Case.of(with_evidence[index]))  # some stand in several couples
    for one, other, hit in closest(found, config.uses):
        alone = case_of(one), case_of(other)
        if not all(case.parts for case in alone):
            continue
        cases = alone[0].beside(alone[1]), alone[1].beside(alone[0])
        makers = [("transplanted", _transplanted), *rng.sample([("replaced", _replaced), ("woven", _woven)], 2)]
        made = ((recipe, make(*cases, rng, config)) for recipe, make in makers)
        for recipe, sides in made:
            if sides is not None:
                yield from _pairs(cases, sides, recipe, hit)
                break


def _pairs(cases: Sequence[_Case], sides: Sequence[Sides], recipe: str, hit: Neighbour) -> Iterator[PreferencePair]:
    for case, (chosen, rejected, count) in zip(cases, sides, strict=True):
        yield PreferencePair(
            question=case.thread.question,
            chosen=" ".join(chosen),
            rejected=" ".join(rejected),
            axiom="groundedness",
            principle=PRINCIPLE,
            source=case.thread.source,
            thread_id=case.thread.id,
            provenance={"recipe": recipe, "sentences": count, "similarity": round(hit.similarity, 3)},
        )


def _woven(one: _Case, other: _Case, rng: Random, config: GroundednessConfig) -> tuple[Sides, Sides] | None:
    count = min(rng.randint(1, config.woven), len(one.parts), len(other.parts), len(one.evidence))
    own = rng.sample(one.evidence, count)
    foreign: list[str] = []
    for like in own:
        match = similar_length([s for s in other.evidence if s not in foreign], like, rng)
        if match is not None:
            foreign.append(match)
    if not own or len(foreign) < count:
        return None
    return _in_both(one, own, foreign, rng), _in_both(other, foreign, own, rng)


def _transplanted(one: _Case, other: _Case, rng: Random, config: GroundednessConfig) -> tuple[Sides, Sides] | None:
    about_one, about_other = _about_its_topic(one), _about_its_topic(other)
    if about_one is None or about_other is None:
        return None
    (name, told), (other_name, other_told) = about_one, about_other
    own = rng.choice(told)
    foreign = similar_length(other_told, own, rng, slack=0.5)
    if foreign is None or {*name.split()} & {*other_name.split()}:
        return None
    claimed, denied = _renamed(foreign, other_name, name), _renamed(own, name, other_name)
    if _speaks_of(other_name, claimed) or _speaks_of(name, denied) or one.knows(claimed) or other.knows(denied):
        return None
    return _in_both(one, [own], [claimed], rng), _in_both(other, [foreign], [denied], rng)


def _replaced(one: _Case, other: _Case, rng: Random, config: GroundednessConfig) -> tuple[Sides, Sides] | None:
    own, foreign = _supported(one, other), _supported(other, one)
    if not own or not foreign:
        return None
    here, there = rng.choice(own), rng.choice(foreign)
    return (
        (one.parts, [*one.parts[:here], other.parts[there], *one.parts[here + 1 :]], 1),
        (other.parts, [*other.parts[:there], one.parts[here], *other.parts[there + 1 :]], 1),
    )


def _in_both(case: _Case, own: list[str], foreign: list[str], rng: Random) -> Sides:
    """Weave `own` into the chosen and `foreign` into the rejected side, at the same places."""
    places = [rng.randint(1, len(case.parts)) for _ in own]
    return [weave(case.parts, own, places)], [weave(case.parts, foreign, places)], len(own)


def _about_its_topic(case: _Case) -> tuple[str, list[str]] | None:
    """Return the name that the question asks about, and the sentences of the evidence with it; None where none has."""
    for name in sorted(set(_NAME.findall(case.thread.question)), key=lambda name: (-len(name), name)):
        alone, longer = (re.compile(form.format(re.escape(name))) for form in (_ALONE, _LONGER))
        told = [s for s in case.evidence if name in s and alone.search(s) and not longer.search(s)]
        if told:
            return name, told
    return None


def _renamed(sentence: str, name: str, new: str) -> str:
    return put(sentence, {match.span(): new for match in re.finditer(rf"\b{re.escape(name)}\b", sentence)})


def _speaks_of(name: str, sentence: str) -> bool:
    words = (word for word in name.split() if word[0].isupper() and word in sentence)
    return any(re.search(rf"\b{re.escape(word)}", sentence) for word in words)


def _supported(case: _Case, other: _Case) -> list[int]:
    """Return the indices of the sentences that the evidence supports and that are foreign elsewhere; not the first."""
    known = content_words(" ".join(case.thread.passages))
    return [
        i
        for i, part in enumerate(case.parts)
        if i > 0
        and _PLAIN.fullmatch(part)
        and len(content_words(part) & known) >= _SUPPORTED * len(content_words(part))
        and not other.knows(part)
    ]
