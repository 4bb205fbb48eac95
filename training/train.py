"""The training loop: one process, CPU or GPU, resumable."""

from __future__ import annotations

import json
import math
import platform
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm

from prefmodel.batching import length_batches
from prefmodel.encoding import Encoding, PairEncoder
from prefmodel.errors import BundleError, InputError, PrefModelError
from prefmodel.evaluation import pairwise_accuracy
from prefmodel.files import write_pairs
from prefmodel.types import PreferencePair
from training import data
from training.losses import preference_loss
from training.model import PreferenceNet
from training.recipe import Recipe, TrainConfig
from training.resume import load_state, save_state

DEV_SAMPLE = 60
"""Development pairs of each axiom that are looked at while training."""


def train(recipe: Recipe, data_folder: str | Path, out: str | Path, max_steps: int | None = None) -> Path:
    """Train a preference model and return the folder of its checkpoint.

    The folder gets the model (`config.json`, `model.safetensors`, `heads.safetensors`, `tokenizer.json`), `run.json`
    (recipe, data with hashes, counts, results), `log.jsonl` (loss and development accuracy), and the held-out pairs
    in `heldout/`. The same call in the same folder goes on where an interrupted one stopped.

    Args:
        recipe: the whole configuration.
        data_folder: where the recipe's files are.
        out: folder of the run.
        max_steps: stop after so many updates in this call, resumable; for trials and tests.

    Raises:
        PrefModelError: a file is missing or malformed, the base cannot be loaded, or the folder holds another run.
    """
    out = Path(out)
    _claim(out, recipe)
    torch.manual_seed(recipe.seed)
    encoder = PairEncoder(load_tokenizer(recipe.base), recipe.encoding)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = PreferenceNet.from_base(recipe.base, recipe.train.start, recipe.train.dropout).to(device)
    _prepare(net, recipe.train, device)

    run = data.load(recipe.data, data_folder, recipe.seed, _say)
    pairs, equal = data.encode(run.train, encoder)
    run.report["left_out"]["sides equal after truncation"] = equal
    (out / "heldout").mkdir(exist_ok=True)
    for name, part in (("dev", run.dev), ("test", run.test)):
        write_pairs(out / "heldout" / f"{name}.jsonl.gz", part)
    _say(f"training pairs: {run.report['pairs']['train']}, {equal} dropped as equal after truncation")

    steps = plan(len(pairs), recipe.train, recipe.seed)
    optimizer = torch.optim.AdamW(_groups(net, recipe.train), fused=True)
    first, seconds = load_state(out, net, optimizer)
    looked_at = _per_axiom(run.dev, DEV_SAMPLE)
    bar = tqdm(total=len(steps), initial=first, unit="step", disable=not sys.stderr.isatty())
    net.train()
    for number in range(first, len(steps)):
        if max_steps is not None and number - first >= max_steps:
            save_state(out, net, optimizer, number, seconds)
            _say(f"stopped after {number} of {len(steps)} updates; the same command goes on")
            return out
        began = time.perf_counter()
        loss = _update(net, optimizer, [pairs[i] for i in steps[number]], encoder, recipe.train, number / len(steps))
        seconds += time.perf_counter() - began
        done = number + 1
        bar.update()
        bar.set_postfix(loss=f"{loss:.3f}")
        entry: dict[str, Any] = {"step": done, "loss": round(loss, 4), "seconds": round(seconds, 1)}
        if done % recipe.train.eval_every == 0 or done == len(steps):
            entry["dev"] = accuracy_by_axiom(net, encoder, looked_at, recipe.train.batch_tokens)
            _say(f"step {done} of {len(steps)}, {seconds:.0f} s, development accuracy {entry['dev']}")
        elif done % 10 == 0 and bar.disable:
            _say(
                f"step {done} of {len(steps)}, loss {loss:.3f}, {done * recipe.train.step_pairs / seconds:.1f} pairs/s"
            )
        _log(out, entry)
        if done % recipe.train.save_every == 0:
            save_state(out, net, optimizer, done, seconds)
    bar.close()

    net.save(out)
    encoder_files(recipe.base, out)
    _say("measuring on the held-out test pairs")
    results = accuracy_by_axiom(net, encoder, run.test, recipe.train.batch_tokens)
    facts = {"recipe": recipe.to_dict(), "data": run.report, "test_accuracy": results, "updates": len(steps)}
    facts |= {"seconds": round(seconds), "machine": platform.machine(), "device": device.type}
    facts |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "base_sha256": _base_hash(recipe.base)}
    (out / "run.json").write_text(json.dumps(facts, indent=1) + "\n")
    shutil.rmtree(out / "resume", ignore_errors=True)
    return out


def plan(count: int, config: TrainConfig, seed: int) -> list[list[int]]:
    """Return the indices of the pairs of each update; the order depends on the seed alone, so that a run can resume.

    >>> [len(step) for step in plan(5, TrainConfig(step_pairs=2), seed=0)]
    [2, 2, 1]
    """
    steps: list[list[int]] = []
    for epoch in range(config.epochs):
        order = Random(f"{seed}/{epoch}").sample(range(count), count)
        steps.extend(order[i : i + config.step_pairs] for i in range(0, count, config.step_pairs))
    return steps


def learning_rate(peak: float, progress: float, warmup: float) -> float:
    """Return the learning rate at `progress` (0 to 1): a linear rise over `warmup`, then a cosine to zero.

    >>> learning_rate(1.0, 0.05, warmup=0.1), learning_rate(1.0, 1.0, warmup=0.1)
    (0.5, 0.0)
    """
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


@torch.no_grad()
def contributions(
    net: PreferenceNet, encoder: PairEncoder, encodings: Sequence[Encoding], batch_tokens: int
) -> NDArray[np.float32]:
    """Return the contributions of encoded inputs, float32 [n, 6]."""
    net.eval()
    out = np.concatenate([t.float().cpu().numpy() for t in [_forward(net, encoder, encodings, batch_tokens)]])
    net.train()
    return out


def accuracy_by_axiom(
    net: PreferenceNet, encoder: PairEncoder, pairs: Sequence[PreferencePair], batch_tokens: int
) -> dict[str, float]:
    """Return the pairwise accuracy for each axiom; ties count half."""
    encoded, _ = data.encode(pairs, encoder)
    margins: dict[str, list[float]] = defaultdict(list)
    questions = [p.question for p in pairs]
    sides = encoder.encode_batch(questions + questions, [p.chosen for p in pairs] + [p.rejected for p in pairs])
    scores = contributions(net, encoder, sides, batch_tokens).sum(1)
    for pair, good, bad in zip(pairs, scores[: len(pairs)], scores[len(pairs) :], strict=True):
        margins[pair.axiom].append(float(good - bad))
    return {axiom: round(pairwise_accuracy(np.array(m)), 4) for axiom, m in sorted(margins.items())}


def load_tokenizer(base: str | Path) -> Tokenizer:
    """Load `tokenizer.json` of a folder or of a model on the Hub."""
    path = Path(base) / "tokenizer.json"
    try:
        if not path.is_file():
            from huggingface_hub import hf_hub_download

            path = Path(hf_hub_download(str(base), "tokenizer.json"))
        return Tokenizer.from_file(str(path))
    except Exception as error:  # huggingface_hub and tokenizers raise many kinds; all mean the same to the user
        raise BundleError(f"{base}: no tokenizer.json: {' '.join(str(error).split())[:200]}") from None


def encoder_files(base: str | Path, out: Path) -> None:
    """Write the base's tokenizer beside the model, with the file that transformers wants next to it."""
    load_tokenizer(base).save(str(out / "tokenizer.json"))
    settings = Path(base) / "tokenizer_config.json"
    if settings.is_file():
        shutil.copyfile(settings, out / "tokenizer_config.json")


def _forward(
    net: PreferenceNet, encoder: PairEncoder, encodings: Sequence[Encoding], batch_tokens: int
) -> torch.Tensor:
    """Return contributions [n, 6] in the order of `encodings`; inputs of like length go together."""
    device = next(net.parameters()).device
    order: list[int] = []
    parts: list[torch.Tensor] = []
    # bfloat16 has float32's range, so no loss scaling is needed; the losses are computed in float32.
    with torch.autocast(device.type, dtype=torch.bfloat16):
        for batch in length_batches([len(e) for e in encodings], batch_tokens):
            arrays = encoder.pad([encodings[i] for i in batch])
            parts.append(net(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()}))
            order.extend(batch)
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts).float()[back.to(device)]


def _update(
    net: PreferenceNet,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[data.EncodedPair],
    encoder: PairEncoder,
    config: TrainConfig,
    progress: float,
) -> float:
    sides = [pair.chosen for pair in batch] + [pair.rejected for pair in batch]
    out = _forward(net, encoder, sides, config.batch_tokens)
    device = out.device
    loss = preference_loss(
        out[: len(batch)],
        out[len(batch) :],
        torch.tensor([pair.head for pair in batch], device=device),
        torch.tensor([pair.margin * config.margin_scale for pair in batch], device=device),
        torch.tensor([pair.target for pair in batch], device=device),
        config.principle_weight,
        config.centre,
    )
    if not torch.isfinite(loss):
        raise PrefModelError(
            f"the loss is {loss.item()}; the last resumable checkpoint is kept; try a lower learning rate"
        )
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(group["peak"], progress, config.warmup)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss)


def _prepare(net: PreferenceNet, config: TrainConfig, device: torch.device) -> None:
    if config.freeze_embeddings:
        net.classifier.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
    if device.type == "cpu":
        # Measured on an AVX512-BF16 CPU: torch's fused attention took 40% of a step at head size 32; plain products
        # and a softmax, in batches that fit the cache, made the whole step 1.4 times faster.
        net.classifier.set_attn_implementation("eager")  # type: ignore[operator]


def _groups(net: PreferenceNet, config: TrainConfig) -> list[dict[str, Any]]:
    """Return parameter groups: heads apart, and no decay for biases and norms."""
    heads = set(map(id, net.heads.parameters()))
    named = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    body = [p for _, p in named if id(p) not in heads]
    parts = [
        ([p for p in body if p.ndim > 1], config.learning_rate, config.weight_decay),
        ([p for p in body if p.ndim <= 1], config.learning_rate, 0.0),
        ([p for p in net.parameters() if id(p) in heads], config.head_learning_rate, 0.0),
    ]
    return [{"params": p, "lr": 0.0, "peak": peak, "weight_decay": decay} for p, peak, decay in parts]


def _per_axiom(pairs: Sequence[PreferencePair], most: int) -> list[PreferencePair]:
    kept: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        if len(kept[pair.axiom]) < most:
            kept[pair.axiom].append(pair)
    return [pair for part in kept.values() for pair in part]


def _claim(out: Path, recipe: Recipe) -> None:
    """Make the folder of the run, or check that the run in it is this one and not finished."""
    if out.exists() and not out.is_dir():
        raise InputError(f"output is {out}; allowed: a folder")
    out.mkdir(parents=True, exist_ok=True)
    if (out / "run.json").exists():
        raise InputError(f"output is {out}, which holds a finished run; allowed: a new folder")
    plan_file = out / "recipe.json"
    text = json.dumps(recipe.to_dict(), indent=1) + "\n"
    if plan_file.exists() and plan_file.read_text() != text:
        raise InputError(f"output is {out}, where a run with another recipe began; allowed: a new folder")
    if not plan_file.exists() and any(out.iterdir()):
        raise InputError(f"output is {out}, which is not empty; allowed: a new folder")
    plan_file.write_text(text)


def _base_hash(base: str | Path) -> str | None:
    path = Path(base) / "model.safetensors"
    return data.sha256(path) if path.is_file() else None


def _log(out: Path, entry: dict[str, Any]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
