"""Resumable checkpoints: weights, optimizer and random state as safetensors, so that nothing in them can run code."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from prefmodel.errors import BundleError

FOLDER = "resume"


def save_state(run: Path, net: nn.Module, optimizer: Optimizer, step: int, seconds: float) -> None:
    """Write the state after `step` updates; it takes the place of the last one only when it is whole."""
    from safetensors.torch import save_file

    fresh, old = run / f"{FOLDER}.new", run / FOLDER
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    tensors = {f"net.{name}": tensor for name, tensor in _trained(net).items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    tensors["random"] = torch.get_rng_state()
    save_file({name: t.detach().contiguous().clone() for name, t in tensors.items()}, fresh / "state.safetensors")
    (fresh / "state.json").write_text(json.dumps({"step": step, "seconds": seconds}))
    shutil.rmtree(old, ignore_errors=True)
    os.replace(fresh, old)


def load_state(run: Path, net: nn.Module, optimizer: Optimizer) -> tuple[int, float]:
    """Load the last state into `net` and `optimizer`; return (updates done, seconds spent), zeros without a state."""
    from safetensors.torch import load_file

    folder = run / FOLDER if (run / FOLDER).is_dir() else run / f"{FOLDER}.new"
    if not (folder / "state.json").is_file():
        return 0, 0.0
    facts = json.loads((folder / "state.json").read_text())
    tensors = load_file(folder / "state.safetensors")
    own = _trained(net)
    with torch.no_grad():
        for name, tensor in own.items():
            if f"net.{name}" not in tensors:
                raise BundleError(f"{folder}: {name} is missing; the state belongs to another model")
            tensor.copy_(tensors[f"net.{name}"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    torch.set_rng_state(tensors["random"])
    return int(facts["step"]), float(facts["seconds"])


def _trained(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p for name, p in net.named_parameters() if p.requires_grad}
