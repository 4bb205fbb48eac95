"""Resumable states: weights, optimizer and random state as safetensors, so that nothing in them can run code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from prefmodel.errors import BundleError
from prefmodel.files import whole_file

FOLDER = "resume"
FRESH = "resume.new"
FACTS = "state.json"
"""Written last and whole, so a state that has it is complete."""
TENSORS = "state.safetensors"

# Whole tensors on the CPU, whatever is sharded over which devices.
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Args:
        step: updates done.
        seconds: time they took.
        best_step: update after which the development pairs were told best, 0 before the first look.
        best: how well, mean accuracy of the axioms.
    """

    step: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best: float = 0.0


def tensors_of(net: nn.Module, optimizer: Optimizer, random: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return everything that a state holds, by name; in sharded training all processes have to call it together.

    Args:
        net: those of its parameters that are trained are in it.
        optimizer: of these parameters.
        random: states of random numbers by name.
    """
    _reshard(net)
    weights: Any = get_model_state_dict(net, options=_WHOLE)
    learned: Any = get_optimizer_state_dict(net, optimizer, options=_WHOLE)
    trained = {name for name, parameter in _named(net) if parameter.requires_grad}
    out = {f"net.{name}": tensor for name, tensor in weights.items() if name in trained}
    for name, state in learned.get("state", {}).items():
        out |= {f"optimizer.{name}.{key}": value for key, value in state.items()}
    out |= {f"random.{name}": state for name, state in random.items()}
    return {name: tensor.detach().contiguous().clone() for name, tensor in out.items()}


def save_state(run: Path, tensors: Mapping[str, Tensor], progress: Progress) -> None:
    """Write a state; at every instant the old or the new one is whole on disk.

    Args:
        run: folder of the run.
        tensors: of `tensors_of`.
        progress: how far the run is.
    """
    settle(run)
    fresh = run / FRESH
    fresh.mkdir()
    save_file(dict(tensors), fresh / TENSORS)
    with whole_file(fresh / FACTS) as temporary:
        temporary.write_text(json.dumps(asdict(progress)))
    settle(run)


def load_state(run: Path, net: nn.Module, optimizer: Optimizer) -> tuple[Progress, dict[str, Tensor]]:
    """Load the last whole state into `net` and `optimizer`.

    Returns:
        How far the run is, and the states of random numbers by name: nothing of either without a state.

    Raises:
        BundleError: the state is damaged or belongs to another model.
    """
    settle(run)
    folder = run / FOLDER
    if not folder.is_dir():
        return Progress(), {}
    try:
        progress = Progress(**json.loads((folder / FACTS).read_text()))
        tensors = load_file(folder / TENSORS)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BundleError(f"{folder}: damaged, remove it to begin anew: {' '.join(str(error).split())}") from None
    weights = _under("net.", tensors)
    _reshard(net)
    for name, parameter in _named(net):
        if parameter.requires_grad and (name not in weights or weights[name].shape != parameter.shape):
            raise BundleError(f"{folder}: {name} is missing or of another shape; the state is of another model")
    for name, parameter in _named(net):
        if parameter.requires_grad:
            _fill(parameter, weights[name])
    _load_optimizer(net, optimizer, _under("optimizer.", tensors))
    return progress, _under("random.", tensors)


def discard_state(run: Path) -> None:
    """Remove what `save_state` wrote."""
    shutil.rmtree(run / FRESH, ignore_errors=True)
    shutil.rmtree(run / FOLDER, ignore_errors=True)


def _reshard(net: nn.Module) -> None:
    """Let the parameters of a sharded net be those of the optimizer again, which a forward pass alone replaces."""
    if isinstance(net, FSDPModule):
        net.reshard()


def _fill(parameter: nn.Parameter, whole: Tensor) -> None:
    """Set a parameter, or this process's part of one that is sharded."""
    mine = parameter.detach()
    if isinstance(mine, DTensor):
        whole = distribute_tensor(whole.to(mine.device), mine.device_mesh, mine.placements)
    mine.copy_(whole)


def _load_optimizer(net: nn.Module, optimizer: Optimizer, saved: Mapping[str, Tensor]) -> None:
    states: dict[str, Any] = {}
    for key, tensor in saved.items():
        name, _, kind = key.rpartition(".")
        states.setdefault(name, {})[kind] = tensor
    if states:  # the groups are the optimizer's own; only what it has learned is loaded
        own: Any = get_optimizer_state_dict(net, optimizer)
        whole = StateDictOptions(full_state_dict=True)  # every process has read it from disk
        set_optimizer_state_dict(net, optimizer, {**own, "state": states}, options=whole)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _named(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return parameters by the names they have without what wraps and compiles them."""
    hidden = ("module.", "_orig_mod.")
    out = []
    for name, parameter in net.named_parameters():
        for part in hidden:
            name = name.replace(part, "")
        out.append((name, parameter))
    return out


def settle(run: Path) -> None:
    """Put a whole new state into the place of the old one and remove a partial one, whenever a kill came.

    Of several processes only one may do it while the others wait.
    """
    if (run / FRESH / FACTS).is_file():
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        os.replace(run / FRESH, run / FOLDER)
    shutil.rmtree(run / FRESH, ignore_errors=True)
