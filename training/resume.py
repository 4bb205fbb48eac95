"""Resumable states: weights, optimizer and random state as safetensors, so that nothing in them can run code."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from prefmodel.errors import BundleError
from prefmodel.files import whole_file

FOLDER = "resume"
FRESH = "resume.new"
FACTS = "state.json"
"""Written last and whole, so a state that has it is complete."""
TENSORS = "state.safetensors"


def save_state(run: Path, net: nn.Module, optimizer: Optimizer, step: int, seconds: float) -> None:
    """Write the state after `step` updates; at every instant the old or the new one is whole on disk.

    Args:
        run: folder of the run.
        net: those of its parameters that are trained are written.
        optimizer: of these parameters.
        step: updates done.
        seconds: time they took.
    """
    _settle(run)
    fresh = run / FRESH
    fresh.mkdir()
    tensors = {f"net.{name}": tensor for name, tensor in _trained(net).items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    save_file({name: t.detach().contiguous().clone() for name, t in tensors.items()}, fresh / TENSORS)
    with whole_file(fresh / FACTS) as temporary:
        temporary.write_text(json.dumps({"step": step, "seconds": seconds}))
    _settle(run)


def load_state(run: Path, net: nn.Module, optimizer: Optimizer) -> tuple[int, float]:
    """Load the last whole state into `net`, `optimizer` and torch's random numbers.

    Returns:
        Updates done and seconds spent, zeros without a state.

    Raises:
        BundleError: the state is damaged or belongs to another model.
    """
    _settle(run)
    folder = run / FOLDER
    if not folder.is_dir():
        return 0, 0.0
    try:
        facts = json.loads((folder / FACTS).read_text())
        step, seconds = int(facts["step"]), float(facts["seconds"])
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BundleError(f"{folder}: damaged, remove it to begin anew: {' '.join(str(error).split())}") from None
    with torch.no_grad():
        for name, tensor in _trained(net).items():
            saved = tensors.get(f"net.{name}")
            if saved is None or saved.shape != tensor.shape:
                raise BundleError(f"{folder}: {name} is missing or of another shape; the state is of another model")
            tensor.copy_(saved)
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            states.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    torch.set_rng_state(tensors["random"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return step, seconds


def discard_state(run: Path) -> None:
    """Remove what `save_state` wrote."""
    shutil.rmtree(run / FRESH, ignore_errors=True)
    shutil.rmtree(run / FOLDER, ignore_errors=True)


def _settle(run: Path) -> None:
    """Put a whole new state into the place of the old one and remove a partial one, whenever a kill came."""
    if (run / FRESH / FACTS).is_file():
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        os.replace(run / FRESH, run / FOLDER)
    shutil.rmtree(run / FRESH, ignore_errors=True)


def _trained(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p for name, p in net.named_parameters() if p.requires_grad}
