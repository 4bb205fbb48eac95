"""The pairs of a run: built from the recipe's files, split, filtered, limited and encoded."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Any

from axioms.build import Counts, build_pairs, by_split, read_sources
from prefmodel.encoding import Encoding, PairEncoder
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import read_pairs
from prefmodel.overlap import QuestionIndex
from prefmodel.types import CONTRIBUTIONS, PreferencePair
from training.recipe import DataConfig


@dataclass(frozen=True, slots=True)
class RunData:
    """The pairs of a run.

    Args:
        train: in random order.
        dev: for looking at while training, and for fitting the temperature.
        test: for measuring at the end.
        report: files with hashes and licences, pairs by axiom, what was left out and why; JSON values.
    """

    train: list[PreferencePair]
    dev: list[PreferencePair]
    test: list[PreferencePair]
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair as the model sees it: two encodings, the index of its own contribution, margin and target."""

    chosen: Encoding
    rejected: Encoding
    head: int
    margin: float
    target: float


def load(config: DataConfig, folder: str | Path, seed: int, say: Callable[[str], None]) -> RunData:
    """Build the pairs of a run from the files in `folder`.

    A question's hash decides its split. Training pairs whose question is nearly one of the development, test or
    excluded questions are dropped and counted.

    Raises:
        FileFormatError: a file is missing or malformed.
        InputError: no training pairs are left.
    """
    say("reading threads and labels")
    used = _files(folder, (*config.threads, *config.labels, *config.pairs))
    threads, labels = read_sources(_files(folder, (*config.threads, *config.labels)))
    ready = [pair for path in _files(folder, config.pairs) for pair in read_pairs(path)]
    exclude = [pair.question for path in _files(folder, config.exclude) for pair in read_pairs(path)]

    say(f"building pairs from {len(threads)} threads and {len(labels)} labels")
    counts = Counts()
    pairs = [*build_pairs(threads, labels, config.axioms, seed, exclude, counts=counts), *ready]
    splits = by_split(pairs)
    rng = Random(f"{seed}/limits")
    dev, test = (_limited(splits[name], {}, rng, config.heldout) for name in ("dev", "test"))
    heldout = QuestionIndex([pair.question for pair in (*dev, *test)])
    forbidden = QuestionIndex(exclude)
    clean = [p for p in splits["train"] if heldout.match(p.question) is None and forbidden.match(p.question) is None]
    train = _limited(clean, config.limits, rng)
    if not train:
        raise InputError(f"no training pairs are left of {len(pairs)} built; look at data.threads and data.limits")
    report = {
        "files": [_described(path, folder, config.licences) for path in used],
        "excluded_files": [str(path.relative_to(folder)) for path in _files(folder, config.exclude)],
        "pairs": {name: _by_axiom(part) for name, part in (("train", train), ("dev", dev), ("test", test))},
        "left_out": {
            "question of an excluded file": dict(counts.excluded),
            "sides equal up to spaces": dict(counts.equal),
            "question near a held-out one": len(splits["train"]) - len(clean),
            "over a limit": len(clean) - len(train),
        },
    }
    return RunData(train, dev, test, report)


def encode(pairs: Sequence[PreferencePair], encoder: PairEncoder) -> tuple[list[EncodedPair], int]:
    """Encode pairs; return them and how many were dropped as their two sides became equal by truncation."""
    questions = [pair.question for pair in pairs]
    chosen = encoder.encode_batch(questions, [pair.chosen for pair in pairs])
    rejected = encoder.encode_batch(questions, [pair.rejected for pair in pairs])
    out = [
        EncodedPair(good, bad, CONTRIBUTIONS.index(pair.principle or "general"), pair.margin, pair.target)
        for pair, good, bad in zip(pairs, chosen, rejected, strict=True)
        if good.ids != bad.ids
    ]
    return out, len(pairs) - len(out)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _files(folder: str | Path, patterns: Iterable[str]) -> list[Path]:
    out: list[Path] = []
    for pattern in patterns:
        found = sorted(Path(folder).glob(pattern))
        if not found:
            raise FileFormatError(f"{Path(folder) / pattern}: no such file")
        out.extend(path for path in found if path not in out)
    return out


def _limited(
    pairs: Sequence[PreferencePair], limits: Mapping[str, int], rng: Random, default: int | None = None
) -> list[PreferencePair]:
    """Return pairs in random order, at most as many of each axiom, and of each source of it, as its limit allows."""
    taken: Counter[str] = Counter()
    out = []
    for pair in rng.sample(pairs, len(pairs)):
        names = (pair.axiom, f"{pair.axiom}/{pair.source}")
        caps = (limits.get(names[0], default), limits.get(names[1]))
        if all(cap is None or taken[name] < cap for name, cap in zip(names, caps, strict=True)):
            taken.update(names)
            out.append(pair)
    return out


def _described(path: Path, folder: str | Path, licences: Mapping[str, str]) -> dict[str, str]:
    name = str(path.relative_to(folder))
    licence = next((text for pattern, text in licences.items() if fnmatch(name, pattern)), "not stated")
    return {"file": name, "sha256": sha256(path), "licence": licence}


def _by_axiom(pairs: Iterable[PreferencePair]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for pair in pairs:
        counts[pair.axiom] += 1
    return dict(sorted(counts.items()))
