"""Which pairs `benchmarks/train.py` trains on: all those of questions that are drawn from files of pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import InputError
from prefmodel.files import read_pairs, write_pairs
from prefmodel.types import PreferencePair
from training.config import ObjectiveConfig
from training.data import encode
from training.model import load_tokenizer


def draw(paths: Sequence[Path], count: int, seed: int) -> list[PreferencePair]:
    """Return pairs, question by question in a random order, with all pairs of each; dialogues are left out.

    A run trains on all pairs of a question too, so as many of them share an answer as in a run.

    Args:
        paths: files of pairs; they are read twice.
        count: pairs to return, at least, where the files have as many.
        seed: of the order.
    """
    sizes = Counter(pair.question for pair in _texts(paths))
    order = Random(seed).sample(sorted(sizes), len(sizes))
    before = accumulate((sizes[question] for question in order), initial=0)
    found: dict[str, list[PreferencePair]] = {q: [] for q, n in zip(order, before, strict=False) if n < count}
    for pair in _texts(paths):
        if pair.question in found:
            found[pair.question].append(pair)
    return [pair for pairs in found.values() for pair in pairs]


def _texts(paths: Iterable[Path]) -> Iterator[PreferencePair]:
    """Yield the pairs whose question is one text: peers take no dialogues, so these would not be the same input."""
    for path in paths:
        yield from (pair for pair in read_pairs(path) if isinstance(pair.question, str))


def write_rows(path: Path, pool: Sequence[PreferencePair], count: int, base: Path, encoding: EncodingConfig) -> Path:
    """Write the first `count` pairs whose sides differ in what the model sees of them, and return the path.

    Raises:
        InputError: there are not so many.
    """
    encoder = PairEncoder(load_tokenizer(base), encoding)
    rows: list[PreferencePair] = []
    for pair in pool:
        if len(rows) < count and encode([pair], encoder, ObjectiveConfig())[0]:
            rows.append(pair)
    if len(rows) < count:
        raise InputError(f"--rows is {count}; the files have {len(rows)} pairs of use at {encoding.max_tokens} tokens")
    write_pairs(path, rows)
    return path
