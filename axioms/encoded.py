"""Relevance with a sentence encoder, which finds hard negatives that have no word in common with the question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms import relevance
from axioms.dense import encoder_hash
from prefmodel.types import PreferencePair, Thread


@dataclass(frozen=True, slots=True)
class Encoded:
    """The axiom relevance with dense negatives beside those of BM25; it can be pickled.

    Args:
        encoder: folder or Hub name; see `SentenceEncoder`. Each process opens it for itself.

    Example: `Encoded("sentence-transformers/all-MiniLM-L6-v2")(threads, Random(0))`.
    """

    encoder: str

    def __call__(self, threads: Sequence[Thread], rng: Random) -> Iterator[PreferencePair]:
        return relevance.build(threads, rng, relevance.RelevanceConfig(encoder=self.encoder))

    @property
    def identity(self) -> str:
        """What tells its pairs from others, beside the code: the encoder's files, wherever they are."""
        return f"relevance {encoder_hash(self.encoder)}"
