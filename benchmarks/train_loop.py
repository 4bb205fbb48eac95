"""What every worker of `benchmarks/train.py` does: load once, then train on the same pairs as often as it is told to.

The one argument is JSON with the worker's options. The first line on stdout is JSON with facts; each line on stdin asks
for one round, whose record is a line of JSON on stdout: `seconds`, from the first batch to the end of the last update;
`cpu_seconds`, those of all its threads meanwhile, which other work on the machine disturbs less; `tokens` that were
read, `squares` (the sum of the squared lengths of inputs), `padded` (tokens with padding), `memory`, the most that was
resident so far, MiB, and `spared`, the weights that hardly a token passes. A small update goes before all rounds, as a
warm-up.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

Options = dict[str, Any]
"""`base`, a folder; `pairs`, a file; `max_tokens` and `question_tokens` of an input; `step_pairs` of an update;
`micro_pairs` of a forward pass of a peer; `batch_tokens` of one of ours; `bfloat16`; `threads`; `work`, a folder; and
what a worker takes beside them."""


Times = tuple[float, float]
"""Seconds on the clock, and of CPU time."""

WARM_UP = 8
"""Pairs that are trained on first, at most: allocations, caches and the optimizer's state are then made."""


@dataclass(frozen=True)
class Loaded:
    """What a worker trains.

    Args:
        classifier: the transformers model, of which inputs are counted.
        train: makes the updates of the first so many pairs, and returns how long it took.
        packages: whose versions are told.
        spared: weights that hardly a token passes.
    """

    classifier: Any
    train: Callable[[int], Times]
    packages: tuple[str, ...]
    spared: int = 0


class Counted:
    """Counts what the encoder of a classifier is given; on its device, so that nothing waits for it."""

    def __init__(self, classifier: Any):
        self._batches: list[tuple[Any, int]] = []
        classifier.base_model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        mask = named["attention_mask"]
        self._batches.append((mask.sum(1), mask.numel()))

    def take(self) -> dict[str, int]:
        """Return the counts since the last call."""
        batches, self._batches = self._batches, []
        return {
            "tokens": sum(int(lengths.sum()) for lengths, _ in batches),
            "squares": sum(int((lengths**2).sum()) for lengths, _ in batches),
            "padded": sum(size for _, size in batches),
        }


def now() -> Times:
    """Return the times when the work that was given to the device is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def since(began: Times, ended: Times | None = None) -> Times:
    """Return how long it is from one time to another, or to now."""
    wall, cpu = ended or now()
    return wall - began[0], cpu - began[1]


def serve(load: Callable[[Options], Loaded]) -> None:
    """Answer until stdin ends."""
    options = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    import torch

    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    loaded = load(options)
    counted = Counted(loaded.classifier)
    loaded.train(min(WARM_UP, options["step_pairs"]))
    counted.take()
    versions = {name: version(name) for name in loaded.packages}
    print(json.dumps({"versions": versions, **sizes(loaded.classifier)}), file=answers, flush=True)
    with open(options["pairs"], encoding="utf-8") as file:
        pairs = sum(1 for _ in file)
    for _ in sys.stdin:
        seconds, cpu_seconds = loaded.train(pairs)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        record = {"seconds": seconds, "cpu_seconds": cpu_seconds, "pairs": pairs, "memory": memory, **counted.take()}
        record["spared"] = loaded.spared
        print(json.dumps(record), file=answers, flush=True)


def sizes(classifier: Any) -> dict[str, int]:
    """Return what operations are counted by: parameters outside of embedding tables, layers, and width."""
    import torch

    tables = [m for m in classifier.modules() if isinstance(m, torch.nn.Embedding)]
    embedded = {id(p) for table in tables for p in table.parameters()}
    parameters = sum(p.numel() for p in classifier.parameters() if id(p) not in embedded)
    config = classifier.config
    return {"parameters": parameters, "layers": config.num_hidden_layers, "width": config.hidden_size}


def read(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a file, each with `question`, `chosen` and `rejected`."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def trainer_settings(options: Options) -> dict[str, Any]:
    """Return the arguments that are the same for all trainers built on that of transformers.

    Nothing but training goes on: no files, no logs. AdamW is fused and gradients are clipped at 1, as in ours. Data is
    loaded in the same process: others would take from the CPUs that train.
    """
    import torch

    return {
        "output_dir": options["work"],
        "num_train_epochs": 1,
        "learning_rate": 3e-5,
        "optim": "adamw_torch_fused",
        "max_grad_norm": 1.0,
        "bf16": options["bfloat16"],
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def clock() -> Any:
    """Return a callback of transformers whose `times` go from the first batch to the end of the last update."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        began = ended = (0.0, 0.0)

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self.began = now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = now()

        @property
        def times(self) -> Times:
            return since(self.began, self.ended)

    return Clock()
