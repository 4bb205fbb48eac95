"""Best of n over real answers of language models: how strong is the model whose answer the reward picks?

    python benchmarks/best_of_n.py threads.jsonl.gz -o best_of_n.png

The prior of `axioms/ratings.json` says how strong a model is. For n of 1 to 16, n answers to a question are drawn, one
is picked, and its model's rank among the question's models is noted: 1 is the strongest. The pick of the reward stands
beside the longest answer, a random one, and that of the strongest model among the n (the limit). Only questions that
training leaves out are asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from axioms.strength import default_ratings
from prefmodel.errors import InputError
from prefmodel.files import read_threads
from prefmodel.intervals import bootstrap, interval
from prefmodel.model import PreferenceModel
from prefmodel.splits import split_of
from prefmodel.types import Answer, Thread

SIZES = (1, 2, 4, 8, 16)
DRAWS = 64
"""Times that n of a question's answers are drawn."""

FLOAT = NDArray[np.float64]
Values = dict[str, FLOAT]
"""What each way of picking goes by, for one question: float64 [answers]; the highest is picked."""


def ranks(ratings: FLOAT) -> FLOAT:
    """Return the rank of each rating [k], 1 for the highest; equal ones share the mean of their ranks.

    >>> ranks(np.array([1000.0, 1200.0, 1000.0]))
    array([2.5, 1. , 2.5])
    """
    above = (ratings[None, :] > ratings[:, None]).sum(axis=1)
    equal = (ratings[None, :] == ratings[:, None]).sum(axis=1)
    return np.asarray(above + (equal + 1) / 2, np.float64)


def mean_ranks(values: Values, rank: FLOAT, size: int, random: np.random.Generator) -> dict[str, float]:
    """Return for each way of picking the mean rank of its picks in `DRAWS` draws of `size` of a question's answers."""
    draws = np.array([random.permutation(len(rank))[:size] for _ in range(DRAWS)])
    picked = {name: draws[np.arange(DRAWS), column[draws].argmax(axis=1)] for name, column in values.items()}
    means = {name: float(rank[picks].mean()) for name, picks in picked.items()}
    return means | {"random": float(rank.mean())}  # what the mean of many draws tends to


def measure(
    threads: Sequence[Thread], ratings: Mapping[str, float], score: Callable[[str, list[str]], FLOAT], seed: int = 0
) -> dict[str, FLOAT]:
    """Return the mean rank of each way of picking, float64 [questions, sizes].

    Args:
        threads: questions with answers of language models.
        ratings: strength by model name, Elo scale.
        score: question and answers to scores; higher is better.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    rows: dict[str, list[list[float]]] = {name: [] for name in ("reward", "longest", "random", "strongest")}
    for thread in tqdm(threads, unit="question", disable=None):
        answers = rated(thread, ratings)
        strength = np.array([ratings[a.model or ""] for a in answers], np.float64)
        values = {
            "reward": score(thread.question, [a.text for a in answers]),
            "longest": np.array([len(a.text) for a in answers], np.float64),
            "strongest": strength,
        }
        means = [mean_ranks(values, ranks(strength), size, random) for size in SIZES]
        for name, row in rows.items():
            row.append([mean[name] for mean in means])
    return {name: np.array(row, np.float64) for name, row in rows.items()}


def rated(thread: Thread, ratings: Mapping[str, float]) -> list[Answer]:
    """Return the answers of a thread that have text and come from a model with a rating."""
    return [a for a in thread.answers if a.model in ratings and a.text.strip()]


def plot(results: Mapping[str, FLOAT], bounds: Mapping[str, list[tuple[float, float]]], path: Path) -> None:
    """Draw mean rank against n, with 95% intervals, to a file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, values in results.items():
        low, high = np.array(bounds[name]).T
        axes.plot(SIZES, values.mean(axis=0), marker="o", label=name)
        axes.fill_between(SIZES, low, high, alpha=0.2)
    axes.set_xscale("log", base=2)
    axes.set_xticks(SIZES, list(map(str, SIZES)))
    axes.invert_yaxis()
    axes.set_xlabel("answers to choose from (n)")
    axes.set_ylabel("rank of the picked answer's model (1 = strongest)")
    axes.set_title(f"Best of n, {len(results['reward'])} questions, 95% intervals")
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "threads", type=Path, help="questions with answers of many models, .jsonl, .jsonl.gz or .parquet"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("best_of_n.png"), help="the plot")
    parser.add_argument("--model", help="the reward model: folder or Hub name; by default the one in the package")
    parser.add_argument("--cpus", type=int, help="CPU threads; by default all that are usable")
    parser.add_argument("--all", action="store_true", help="also questions that training may have seen, by their split")
    parser.add_argument("--questions", type=int, help="only so many questions, drawn at random")
    arguments = parser.parse_args()

    ratings = default_ratings()
    threads = [t for t in read_threads(arguments.threads) if len(rated(t, ratings)) >= max(SIZES)]
    if not arguments.all:
        threads = [t for t in threads if split_of(t.question) != "train"]
    if arguments.questions is not None:
        chosen = np.random.default_rng(0).permutation(len(threads))[: arguments.questions]
        threads = [threads[i] for i in sorted(chosen)]
    if len(threads) < 2:
        raise InputError(
            f"{arguments.threads}: {len(threads)} questions have {max(SIZES)} rated answers; allowed: 2 or more"
        )
    model = PreferenceModel.from_pretrained(arguments.model, threads=arguments.cpus)
    results = measure(threads, ratings, lambda question, answers: model.score(question, answers).astype(np.float64))

    clusters = np.arange(len(threads))  # one resample draws whole questions, the same for every way of picking
    bounds = {name: [interval(row) for row in bootstrap(values.T, clusters)] for name, values in results.items()}
    print(f"mean rank of the picked answer's model among about {len(rated(threads[0], ratings))} (1 = strongest),")
    print(f"{len(threads)} questions, with 95% intervals over questions\n")
    print("| n | " + " | ".join(results) + " | longest - reward |\n" + "| --- " * (len(results) + 2) + "|")
    gaps = results["longest"] - results["reward"]
    for i, size in enumerate(SIZES):
        cells = [f"{values[:, i].mean():.2f} ({bounds[name][i][0]:.2f} to {bounds[name][i][1]:.2f})"
                 for name, values in results.items()]  # fmt: skip
        low, high = interval(bootstrap(gaps.T, clusters)[i])
        print(f"| {size} | " + " | ".join(cells) + f" | {gaps[:, i].mean():+.2f} ({low:+.2f} to {high:+.2f}) |")
    plot(results, bounds, arguments.output)


if __name__ == "__main__":
    main()
