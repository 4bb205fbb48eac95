"""Threads with a similar but different question, by a sentence encoder: what BM25 misses for want of a common word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axioms.neighbours import Neighbour, by_source, shared
from axioms.text import content_words
from prefmodel.errors import missing_extra
from prefmodel.files import sha256
from prefmodel.sentence_encoder import SentenceEncoder, find_encoder
from prefmodel.types import Thread

EXACT = 20_000
"""Threads of a source up to which every two are compared; from there on an approximate index (HNSW) searches."""


@lru_cache(maxsize=1)
def encoder_named(name: str) -> SentenceEncoder:
    """Return an encoder; the next block of threads gets the same one."""
    return SentenceEncoder(name)


def dense_neighbours(
    threads: Sequence[Thread],
    encoder: SentenceEncoder,
    depth: int = 20,
    same: float = 0.6,
    alike: float = 0.85,
    exact: int = EXACT,
) -> Iterator[tuple[list[Neighbour], set[int]]]:
    """Yield for each thread its most similar threads of its source, best first, and its near-duplicates.

    Args:
        threads: the threads to search and to search for.
        encoder: makes the vectors of their questions.
        depth: look at so many candidates for each thread.
        same: share of content words (Jaccard) from which two questions are taken for near-duplicates.
        alike: cosine from which they are, too; these are no neighbours.
        exact: threads of a source up to which every two are compared.

    Raises:
        MissingExtraError: usearch is not installed.
    """
    found: dict[int, tuple[list[Neighbour], set[int]]] = {}
    for members in by_source(threads):
        questions = [threads[i].question for i in members]
        vocabulary = [content_words(question) for question in questions]
        for own, hits in enumerate(_nearest(encoder.encode(questions), depth, len(members) <= exact)):
            copies = {
                hit for hit, cosine in hits if cosine >= alike or shared(vocabulary[own], vocabulary[hit]) >= same
            }
            kept = [(members[hit], cosine) for hit, cosine in hits if hit not in copies and hit != own and cosine > 0]
            ranked = [Neighbour(hit, rank, cosine, "dense") for rank, (hit, cosine) in enumerate(kept)]
            found[members[own]] = ranked, {members[hit] for hit in copies - {own}}
    for index in range(len(threads)):
        yield found[index]


def _nearest(vectors: NDArray[np.float32], depth: int, exact: bool) -> Iterator[list[tuple[int, float]]]:
    """Yield for each vector (index, cosine) of the nearest `depth` + 1, itself among them, best first."""
    try:
        from usearch.index import Index
    except ImportError:
        raise missing_extra("dense retrieval", "axioms") from None
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
    # One thread, so that the graph of an approximate index is the same each time.
    index.add(np.arange(len(vectors)), vectors, threads=1)
    for vector in vectors:
        found = index.search(vector, depth + 1, exact=exact, threads=1)
        yield [(int(key), 1 - float(distance)) for key, distance in zip(found.keys, found.distances, strict=True)]


def encoder_hash(name: str | Path) -> str:
    """Return what tells an encoder from others: a SHA-256 of its tokenizer, its graph and the weights beside that.

    Args:
        name: as for `SentenceEncoder`.

    Raises:
        InputError, BundleError: as for `SentenceEncoder`, but for files that cannot be read.
    """
    folder, graph = find_encoder(name)
    weights = sorted(graph.parent.glob(f"{graph.name}*"))
    hashes = [f"{path.name} {sha256(path)}" for path in (folder / "tokenizer.json", *weights)]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
