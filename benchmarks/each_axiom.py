"""One short training on each axiom alone: can it be learned from, and what does it do to human labels?

usage: python -m benchmarks.each_axiom PAIRS --base FOLDER --labels FILE ... [--out FOLDER]

PAIRS is what `prefmodel pairs` wrote. Every training starts from the same base with the same number of pairs, and is
measured on pairs of its axiom and on human labels, all with questions of the splits that no training sees. A run that
is there is not made again, so a stopped command goes on. Pairs of which neither side is better, as those of
invariance, are left out: alone they teach to give all answers the same score.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from axioms.human import build as human_labels
from prefmodel.baselines import bm25, longer
from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.evaluation import FileResult, Scorer, evaluate_pairs, pool
from prefmodel.files import read_pairs, whole_file, write_pairs
from prefmodel.intervals import Estimate
from prefmodel.splits import split_of
from prefmodel.types import PreferencePair, Question
from training.config import DataConfig, TrainConfig
from training.measure import contributions
from training.model import PreferenceNet, load_tokenizer
from training.recipe import Recipe
from training.train import train

HELDOUT = 400
"""Pairs of an axiom that it is measured on."""
BATCH_TOKENS = 1024
START = 0.3
"""Factor on the classification layer of the base, as in a training."""


def samples(pairs: Iterable[PreferencePair], most: int, seed: int) -> dict[str, dict[str, list[PreferencePair]]]:
    """Return at most `most` pairs for training and `HELDOUT` others of each axiom, drawn at random in one pass.

    Returns:
        axiom to "train" and "heldout" to pairs; the splits share no question.
    """
    kept: dict[tuple[str, str], list[tuple[float, int, PreferencePair]]] = {}
    random, number = Random(seed), count()
    for pair in pairs:
        part = "train" if split_of(pair.question) == "train" else "heldout"
        heap = kept.setdefault((pair.axiom, part), [])
        item = (random.random(), next(number), pair)
        if len(heap) < (most if part == "train" else HELDOUT):
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
    out: dict[str, dict[str, list[PreferencePair]]] = {}
    for (axiom, part), heap in sorted(kept.items()):
        out.setdefault(axiom, {})[part] = [pair for _, _, pair in sorted(heap, key=lambda item: item[:2])]
    return out


def scorer(net: PreferenceNet, encoder: PairEncoder) -> Scorer:
    """Return what scores questions and answers with a network."""

    def scores(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        sides = encoder.encode_batch(questions, answers)
        return np.asarray(contributions(net, encoder, sides, BATCH_TOKENS).sum(1), np.float32)

    return scores


def remembered(scores: Scorer) -> Scorer:
    """Return a scorer that scores each question and answer once: the start meets the human labels with every axiom."""
    known: dict[tuple[Question, str], float] = {}

    def scored(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        asked = list(zip(questions, answers, strict=True))
        if new := [item for item in dict.fromkeys(asked) if item not in known]:
            found = scores([q for q, _ in new], [a for _, a in new])
            known.update(zip(new, found.tolist(), strict=True))
        return np.array([known[item] for item in asked], np.float32)

    return scored


def measured(
    axiom: Sequence[PreferencePair], human: Sequence[PreferencePair], scorers: Mapping[str, Scorer]
) -> dict[str, dict[str, list[float]]]:
    """Return accuracy, its interval and the number of pairs by scorer, on the axiom's pairs and on human labels."""
    found = evaluate_pairs(human, scorers)
    gain = pool([found]).differences["start"]
    return {
        "human": _numbers(found),
        "gain": {"trained": [gain.value, gain.low, gain.high, found.pairs]},
        "axiom": _numbers(evaluate_pairs(axiom, scorers)),
    }


def _numbers(result: FileResult) -> dict[str, list[float]]:
    def row(e: Estimate) -> list[float]:
        return [e.value, e.low, e.high, e.count]

    return {name: row(estimate) for name, estimate in result.accuracy.items()}


def table(results: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| trained on | its held-out pairs | untouched start | longer answer | BM25 | human labels | minus start |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, found in results.items():
        gain, low, high, _ = found["gain"]["trained"]
        own = [_cell(found["axiom"][who]) for who in ("trained", "start", "longer", "bm25")]
        human = _cell(found["human"]["trained"])
        yield f"| {name} | {' | '.join(own)} | {human} | {gain:+.3f} [{low:+.3f}, {high:+.3f}] |"
    rows = next(iter(results.values()))["human"]
    for name in ("start", "longer", "bm25"):
        yield f"| {name} alone | - | - | - | - | {_cell(rows[name])} | - |"


def _cell(row: Sequence[float]) -> str:
    value, low, high, pairs = row
    return f"{value:.3f} [{low:.3f}, {high:.3f}] of {int(pairs)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, metavar="PAIRS")
    parser.add_argument("--base", required=True, help="Folder or Hub name of the pretrained start.")
    parser.add_argument("--labels", type=Path, nargs="+", required=True, metavar="FILE", help="Human-labelled pairs.")
    parser.add_argument("--out", type=Path, default=Path("axiom-runs"), help="Folder of the runs.")
    parser.add_argument("--axioms", help="Comma-separated; default: all in PAIRS whose pairs have a better side.")
    parser.add_argument("--count", type=int, default=2000, help="Training pairs of each axiom.")
    parser.add_argument("--tokens", type=int, default=128, help="Longest input.")
    parser.add_argument("--human", type=int, default=1000, help="Human-labelled pairs that are measured on, at most.")
    parser.add_argument("--rate", type=float, default=1e-4, help="Peak learning rate; ten times that for the heads.")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()

    encoding = EncodingConfig(max_tokens=given.tokens, question_tokens=given.tokens // 3)
    encoder = PairEncoder(load_tokenizer(given.base), encoding)
    torch.manual_seed(given.seed)  # a base without a classification layer gets one at random
    start = remembered(scorer(PreferenceNet.from_base(given.base, START), encoder))
    labels = human_labels([pair for path in given.labels for pair in read_pairs(path)], Random(given.seed))
    human = [pair for pair in labels if split_of(pair.question) != "train"]
    human = Random(given.seed).sample(human, min(given.human, len(human)))
    found = samples(read_pairs(given.pairs), given.count, given.seed)
    taught = [axiom for axiom, parts in found.items() if any(pair.target > 0.5 for pair in parts["train"])]
    wanted = given.axioms.split(",") if given.axioms else taught
    if unknown := [name for name in wanted if name not in taught]:
        parser.error(f"--axioms holds {unknown[0]!r}; allowed: {', '.join(taught)}")
    given.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in wanted:
        path = given.out / f"{name}.json"
        if not path.exists():
            (given.out / "data").mkdir(exist_ok=True)
            write_pairs(given.out / "data" / f"{name}.jsonl.gz", found[name]["train"] + found[name]["heldout"])
            recipe = Recipe(
                base=str(given.base),
                seed=given.seed,
                data=DataConfig(pairs=(f"{name}.jsonl.gz",), heldout=HELDOUT),
                encoding=encoding,
                train=TrainConfig(
                    start=START, eval_every=1000, learning_rate=given.rate, head_learning_rate=10 * given.rate
                ),
            )
            checkpoint = given.out / name
            if not (checkpoint / "run.json").exists():
                train(recipe, given.out / "data", checkpoint)
            trained = scorer(PreferenceNet.from_checkpoint(checkpoint), encoder)
            scorers = {"trained": trained, "start": start, "longer": longer, "bm25": bm25}
            facts = measured(found[name]["heldout"], human, scorers)
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(facts))
        results[name] = json.loads(path.read_text())
        print(f"{name}: {results[name]}", file=sys.stderr)
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
