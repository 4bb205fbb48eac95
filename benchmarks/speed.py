"""How fast a bundle scores on this machine, as a table for its card.

    python -m benchmarks.speed --backend onnxruntime --backend openvino > speed.md
    prefmodel card --speed speed.md ...

Each backend has a process of its own. Batches: inputs of 128, 256 and 512 tokens, as many as the encoding allows,
tokenisation included; rounds go through the lengths in turn, and medians are shown. Single: one pair of 60
tokens after another. Memory: the largest that the process had.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from multiprocessing import get_context
from statistics import median, quantiles

from prefmodel.cpus import cpu_name, usable_cpus
from prefmodel.model import PreferenceModel

LENGTHS = (128, 256, 512)
ROWS = 32
SINGLE = 60
QUESTION = "Why is the sky blue?"
BATCHES = tuple(f"{n} tokens, pairs/s" for n in LENGTHS)
HEADINGS = ("backend", "precision", "threads", *BATCHES, "single, p50, ms", "single, p99, ms", "memory, MiB")


def answer_of(model: PreferenceModel, tokens: int, number: int) -> str:
    """Return an answer that fills an input of so many tokens with the question; each number gives another one."""
    words = f"Air {number} turns blue light more than red light , so the sky is blue by day .".split()
    kept = [words[(i + number) % len(words)] for i in range(tokens)]
    while (over := _tokens(model, kept) - tokens) > 0:
        kept = kept[: -max(1, over // 2)]
    return " ".join(kept)


def _tokens(model: PreferenceModel, words: list[str]) -> int:
    [encoding] = model.encode([QUESTION], [" ".join(words)]).encodings
    return len(encoding) + encoding.answer_cut


def row(backend: str, bundle: str | None, threads: int, rounds: int) -> list[str]:
    """Measure one backend in this process and return its cells."""
    model = PreferenceModel.from_pretrained(bundle, threads=threads, backend=backend)
    lengths = [n for n in LENGTHS if n <= model.bundle.encoding.max_tokens]
    texts = {n: [answer_of(model, n, i) for i in range(ROWS)] for n in lengths}
    rates: dict[int, list[float]] = {n: [] for n in lengths}
    for number in range(rounds + 1):  # the first round takes longer, and does not count
        for n in lengths:
            began = time.perf_counter()
            model.score([QUESTION] * ROWS, texts[n])
            if number:
                rates[n].append(ROWS / (time.perf_counter() - began))
    single = []
    for number in range(10 * rounds):
        text = answer_of(model, SINGLE, number)
        began = time.perf_counter()
        model.score(QUESTION, text)
        single.append(1000 * (time.perf_counter() - began))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
    found = [f"{median(rates[n]):.1f}" if n in rates else "-" for n in LENGTHS]
    late = f"{median(single):.1f}", f"{quantiles(single, n=100)[98]:.1f}", f"{peak:.0f}"
    return [model.backend.name, model.bundle.precision, str(model.threads), *found, *late]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of a bundle; by default the default model")
    parser.add_argument("--backend", action="append", help="such as openvino; may be repeated; default: onnxruntime")
    parser.add_argument("--threads", type=int, default=usable_cpus(), help="of the CPU; by default all that are usable")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{cpu_name()}, {usable_cpus()} cores; {ROWS} pairs at once, medians of {given.rounds} rounds.\n")
    print("| " + " | ".join(HEADINGS) + " |\n" + "| --- " * len(HEADINGS) + "|")
    for backend in given.backend or ["onnxruntime"]:
        with get_context("spawn").Pool(1) as pool:  # so that each has its own peak of memory
            cells = pool.apply(row, (backend, given.model, given.threads, given.rounds))
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
