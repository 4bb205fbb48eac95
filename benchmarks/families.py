"""Every family of backbones at full size: trained for 20 steps, saved, loaded, exported, and compared with torch.

usage: python -m benchmarks.families [NAME ...] [--base FOLDER]

Prints a row of a table for each. Without --base the weights are random, in the shape of a published model.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
import torch

from benchmarks.family_bases import FAMILIES, write_base
from export.bundle import export
from prefmodel.backends.onnxruntime import OnnxRuntimeBackend
from prefmodel.bundle import Bundle
from prefmodel.encoding import EncodingConfig
from prefmodel.files import write_pairs
from prefmodel.types import PreferencePair
from training.config import DataConfig, TrainConfig
from training.model import PreferenceNet
from training.recipe import Recipe
from training.train import train

STEPS, STEP_PAIRS = 20, 4
SHAPES = ((1, 7), (2, 16), (5, 33), (2, 130), (1, 300), (2, 500))
"""Inputs and tokens of the batches on which a graph is compared with torch; the graph's example has 2 of about 20."""
NOISE = tuple(f"word{i}" for i in range(60))
GOOD, BAD = ("clear", "exact", "careful", "sourced"), ("vague", "wrong", "lazy", "rude")


@dataclass(frozen=True)
class Trial:
    """What became of one family.

    Args:
        first: mean loss of the first five steps.
        last: mean loss of the last five.
        reloaded: largest difference of a contribution after saving and loading, logits.
        parity: largest difference of a contribution between graph and torch over `shapes`, logits.
        padding: how much a contribution changes at most when a row is padded, logits.
        bundle: its folder.
    """

    first: float
    last: float
    reloaded: float
    parity: float
    padding: float
    bundle: Path


def labels(rng: Random, count: int) -> list[PreferencePair]:
    """Return pairs in which the chosen answer has good words and the rejected one bad words."""

    def answer(marks: tuple[str, ...]) -> str:
        words = [*rng.sample(NOISE, 6), *rng.sample(marks, 2)]
        rng.shuffle(words)
        return " ".join(words) + "."

    return [
        PreferencePair(" ".join(rng.sample(NOISE, 5)) + "?", answer(GOOD), answer(BAD), axiom="human", source="demo")
        for _ in range(count)
    ]


def trial(
    base: Path,
    folder: Path,
    options: TrainConfig,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    precisions: Sequence[str] = ("float32",),
    heldout: int = 20,
) -> Trial:
    """Train a base, load the checkpoint, export it and compare the graph with torch.

    Args:
        base: folder of a model and its tokenizer.
        folder: gets data, run and bundle.
        options: of the training.
        shapes: inputs and tokens of the batches that are compared.
        precisions: of the bundle.
        heldout: pairs that the export measures with; a reduced precision asks for 1,000.
    """
    (folder / "data").mkdir()
    write_pairs(folder / "data" / "labels.jsonl.gz", labels(Random(0), STEPS * options.step_pairs * 5 // 4))
    recipe = Recipe(
        base=str(base),
        data=DataConfig(labels=("labels*",), heldout=20),
        encoding=EncodingConfig(max_tokens=128, question_tokens=48),
        train=options,
    )
    checkpoint = train(recipe, folder / "data", folder / "run")
    losses = [json.loads(line)["loss"] for line in (checkpoint / "log.jsonl").read_text().splitlines()]
    net = PreferenceNet.from_checkpoint(checkpoint).eval()
    net.save(folder / "again")
    again = PreferenceNet.from_checkpoint(folder / "again").eval()
    batches = [random_batch(net, *shape) for shape in shapes]
    want = [scores(net, batch) for batch in batches]
    reloaded = max(float(np.abs(scores(again, b) - w).max()) for b, w in zip(batches, want, strict=True))
    padding = max(map(float, (padding_effect(net, b, w) for b, w in zip(batches, want, strict=True))))
    shutil.rmtree(folder / "again")
    del net, again

    for name, count, seed in (("dev", 20, 1), ("test", heldout, 2)):
        write_pairs(checkpoint / "heldout" / f"{name}.jsonl.gz", labels(Random(seed), count))
    bundle = export(checkpoint, folder / "bundle", (), precisions, say)
    return Trial(
        float(np.mean(losses[:5])),
        float(np.mean(losses[-5:])),
        reloaded,
        graph_difference(Bundle.open(bundle, precision="float32"), batches, want),
        padding,
        bundle,
    )


def random_batch(net: PreferenceNet, rows: int, tokens: int) -> dict[str, torch.Tensor]:
    """Return inputs by name, int64 [rows, tokens]; the first row is full, the others have ever more padding."""
    random = torch.Generator().manual_seed(tokens)
    ids = torch.randint(5, net.config.vocab_size, (rows, tokens), generator=random)
    lengths = torch.tensor([max(2, tokens - row * tokens // (rows + 1)) for row in range(rows)])
    mask = (torch.arange(tokens) < lengths[:, None]).long()
    types = (torch.arange(tokens) >= lengths[:, None] // 2).long() * mask
    ids = torch.where(mask == 1, ids, net.config.pad_token_id or 0)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@torch.no_grad()
def scores(net: PreferenceNet, batch: dict[str, torch.Tensor]) -> np.ndarray:
    """Return the contributions in float32, [rows, 6]."""
    return net(**batch).numpy()


def padding_effect(net: PreferenceNet, batch: dict[str, torch.Tensor], want: np.ndarray) -> float:
    """Return how much 9 more tokens of padding, of any ids, change a contribution at most."""
    more = {name: torch.nn.functional.pad(values, (0, 9)) for name, values in batch.items()}
    more["input_ids"][more["attention_mask"] == 0] = 7
    return float(np.abs(scores(net, more) - want).max())


def graph_difference(bundle: Bundle, batches: Sequence[dict[str, torch.Tensor]], want: Sequence[np.ndarray]) -> float:
    """Return the largest difference of a contribution, logits, but for the zero that the bundle has set anew."""
    session = OnnxRuntimeBackend(bundle.onnx, bundle.precision)
    got = [session.run({name: values.numpy() for name, values in batch.items()})[1] for batch in batches]
    difference = np.concatenate(got) - np.concatenate(want)
    return float(np.abs(difference - np.median(difference, axis=0)).max())


def say(text: str) -> None:
    print(text, file=sys.stderr)


def row(name: str, base: Path | None, precisions: Sequence[str]) -> str:
    """Return a row of the table for one family, whose base is made when none is given."""
    began = time.perf_counter()
    heldout = 1000 if len(precisions) > 1 else 20
    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(sys.stderr):
        folder = Path(temporary)
        texts = [f"{p.question} {p.chosen} {p.rejected}" for p in labels(Random(0), 200)]
        found = base or write_base(folder / "base", name, texts)
        options = TrainConfig(step_pairs=STEP_PAIRS, learning_rate=1e-4, head_learning_rate=1e-3)
        done = trial(found, folder, options, precisions=precisions, heldout=heldout)
        size = (done.bundle / "onnx" / "model.onnx").stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    weights = "published" if base else "random"
    seconds = time.perf_counter() - began
    cells = [name, weights, f"{done.first:.3f} to {done.last:.3f}", f"{done.reloaded:.1e}", f"{done.parity:.1e}"]
    cells += [f"{done.padding:.1e}", f"{size:.0f} MB", f"{seconds:.0f} s", f"{peak:.1f} GiB"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--base", type=Path, help="Folder with the weights and the tokenizer of the one NAME.")
    parser.add_argument("--precision", action="append", choices=["int8", "float16"], default=[], help="Export it too.")
    given = parser.parse_args()
    names = given.names or list(FAMILIES)
    if unknown := [name for name in names if name not in FAMILIES]:
        parser.error(f"NAME is {unknown[0]}; allowed: {', '.join(FAMILIES)}")
    if given.base and len(names) != 1:
        parser.error(f"--base with {len(names)} names; allowed: one")
    print("| family | weights | loss | reloaded | parity | padding | graph | time | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in names:
        with get_context("spawn").Pool(1) as pool:  # so that each has its own peak of memory
            print(pool.apply(row, (name, given.base, ["float32", *given.precision])), flush=True)


if __name__ == "__main__":
    main()
