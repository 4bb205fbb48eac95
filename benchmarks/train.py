"""How fast `prefmodel train` trains, beside the reward trainers of other libraries, in one run.

    python -m benchmarks.train --base BASE --pairs PAIRS.jsonl.gz --lengths 128 288 --threads 2

trl's `RewardTrainer` and sentence-transformers' `CrossEncoderTrainer` train the same base on the same pairs, with as
many pairs an update, on as many CPUs, in the same precision: bfloat16 where the device has it in hardware, else
float32. Peers train all weights, and so does "prefmodel all weights", which is the fair comparison; the recipes leave
word embeddings as they are, which is measured beside. `train_trl.py` and `train_cross_encoder.py` say which settings
the peers get and why.

Each is a process of its own, started once, warmed up by an update and then asked in turn, round after round, one at a
time. A GPU is used where there is one. The table goes to stdout, progress to stderr, a picture to `--output`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.peer_environments import Configuration, WorkerError, python
from benchmarks.train_peak import Machine
from benchmarks.train_report import FROZEN, OURS, plot, report
from benchmarks.train_rows import draw, write_rows
from benchmarks.worker import WorkerProcess
from prefmodel.encoding import EncodingConfig
from prefmodel.errors import PrefModelError

ROOT = Path(__file__).parents[1]
"""Where the workers, which are modules, are found."""

TRAINERS = (
    Configuration(OURS, "benchmarks.train_ours", options={"freeze_embeddings": False}),
    Configuration(FROZEN, "benchmarks.train_ours", options={"freeze_embeddings": True}),
    Configuration("trl RewardTrainer", "benchmarks.train_trl"),
    Configuration(
        "sentence-transformers CrossEncoderTrainer", "benchmarks.train_cross_encoder", "sentence-transformers-train"
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="folder of a pretrained model")
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, help="files of pairs")
    parser.add_argument("--rows", type=int, default=96, help="pairs of a round")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128], help="tokens of an input, at most")
    parser.add_argument("--step-pairs", type=int, default=32, help="pairs of an update")
    parser.add_argument("--micro-pairs", type=int, default=8, help="pairs of a forward pass of a peer")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="padded tokens of a forward pass of ours")
    parser.add_argument("--attention", default="sdpa", help="of the peers, by transformers' name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="trainers whose name has one of these words, by commas")
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "prefmodel" / "benchmarks")
    parser.add_argument("--peak-seconds", type=float, default=2.0, help="before and again after the rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="file for the picture")
    options = parser.parse_args(arguments)
    if options.rows % options.step_pairs or options.step_pairs % min(options.micro_pairs, options.step_pairs):
        parser.error("allowed: --rows a multiple of --step-pairs, and that one of --micro-pairs")
    with tempfile.TemporaryDirectory(prefix="prefmodel-train-") as work:
        try:
            results = run(options, Path(work))
        except (PrefModelError, WorkerError) as error:
            parser.error(str(error))
    print(report(results))
    if options.output:
        plot(results, options.output)


def run(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Measure everything and return what `train_report.report` takes."""
    print("drawing pairs", file=sys.stderr)
    pool = draw(options.pairs, 2 * options.rows, options.seed)
    if hasattr(os, "sched_setaffinity"):  # it holds for the workers too, also for threads that no option governs
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    machine = Machine.here()
    load, peaks = [os.getloadavg()[0]], [machine.peak(options.threads, options.peak_seconds)]
    found: list[dict[str, Any]] = []
    facts: list[dict[str, Any]] = []
    for length in options.lengths:
        encoding = EncodingConfig(max_tokens=length, question_tokens=min(128, length // 2))
        rows = write_rows(work / f"{length}.jsonl", pool, options.rows, options.base, encoding)
        common = {
            "base": str(options.base.resolve()),
            "pairs": str(rows),
            "max_tokens": length,
            "question_tokens": encoding.question_tokens,
            "bfloat16": machine.bfloat16,
            "work": str(work),
            **{name: getattr(options, name) for name in ("step_pairs", "micro_pairs", "batch_tokens", "attention")},
        }
        with ExitStack() as stack:
            workers = started(options, common, work, stack)
            facts += [worker.facts for worker in workers]
            for number in range(options.rounds):
                for worker in workers:
                    record = worker.round()
                    found.append({"name": worker.trainer.name, "length": length, "round": number, **record})
                    speed = record["pairs"] / record["seconds"]
                    print(f"{length}, round {number + 1}, {worker.trainer.name}: {speed:.2f} pairs/s", file=sys.stderr)
    load.append(os.getloadavg()[0])
    peaks.append(machine.peak(options.threads, options.peak_seconds))
    return {
        "date": date.today().isoformat(),
        "machine": {"name": machine.name, "precision": machine.precision, "peak": max(peaks)},
        "load": load,
        "sizes": {name: facts[0][name] for name in ("parameters", "layers", "width")},
        "versions": sorted({item for fact in facts for item in fact["versions"].items()}),
        "records": found,
        **{name: getattr(options, name) for name in ("lengths", "rows", "step_pairs", "rounds", "threads")},
    }


def started(options: argparse.Namespace, common: dict[str, Any], work: Path, stack: ExitStack) -> list[Worker]:
    """Start those that were asked for and can be had here, and say which cannot; they end with the stack.

    Raises:
        WorkerError: none of them starts.
    """
    workers = []
    for trainer in TRAINERS:
        if not any(word in trainer.name for word in options.only.split(",")):
            continue
        try:
            worker = Worker(trainer, common, options.threads, options.environments, work)
        except (WorkerError, subprocess.CalledProcessError) as error:
            print(f"{trainer.name}: not measured: {error}", file=sys.stderr)
            continue
        stack.callback(worker.close)
        print(f"{trainer.name}: {json.dumps(worker.facts)}", file=sys.stderr)
        workers.append(worker)
    if not workers:
        raise WorkerError("no trainer starts; the lines above say why")
    return workers


class Worker(WorkerProcess):
    """A process that trains in one of the ways; it ends with `close`.

    Raises:
        WorkerError: it does not start.
    """

    def __init__(self, trainer: Configuration, common: dict[str, Any], threads: int, environments: Path, logs: Path):
        self.trainer = trainer
        options = json.dumps({**common, **trainer.options, "threads": threads})
        command = [str(python(trainer.environment, environments)), "-m", trainer.script, options]
        log = logs / f"{trainer.name.replace(' ', '-')}.log"
        super().__init__(command, log, threads, folder=ROOT)

    def round(self) -> dict[str, Any]:
        """Let it train on all pairs, and return the record that `train_loop.py` describes."""
        return self.ask()


if __name__ == "__main__":
    main()
