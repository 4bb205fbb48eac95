"""Which pairs `benchmarks/train.py` trains on: drawn from files of pairs, evenly over their axioms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from random import Random

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import InputError
from prefmodel.files import read_pairs, write_pairs
from prefmodel.types import PreferencePair
from training.config import ObjectiveConfig
from training.data import encode
from training.model import load_tokenizer


def draw(paths: Iterable[Path], count: int, seed: int) -> list[PreferencePair]:
    """Return pairs by axiom in turn, up to `count` of each axiom, drawn at random; dialogues are left out.

    Peers take a question as one text, so a dialogue would not be the same input for all.
    """
    random, seen, kept = Random(seed), Counter[str](), defaultdict[str, list[PreferencePair]](list)
    for path in paths:
        for pair in read_pairs(path):
            if not isinstance(pair.question, str):
                continue
            seen[pair.axiom] += 1
            if len(kept[pair.axiom]) < count:
                kept[pair.axiom].append(pair)
            elif (place := random.randrange(seen[pair.axiom])) < count:
                kept[pair.axiom][place] = pair
    turns = zip_longest(*(random.sample(pairs, len(pairs)) for _, pairs in sorted(kept.items())))
    return [pair for turn in turns for pair in turn if pair is not None]


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
