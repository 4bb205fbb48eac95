"""Makes the updates: on one device or many, through `accelerate`, in chunks of pairs and batches of like length."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, InitProcessGroupKwargs
from torch import Tensor

from prefmodel.batching import length_batches
from prefmodel.encoding import Encoding, PairEncoder
from prefmodel.errors import InputError
from prefmodel.types import CONTRIBUTIONS
from training.config import ObjectiveConfig, TrainConfig
from training.data import EncodedPair
from training.first_token import only_first_token
from training.forward import forward
from training.model import PreferenceNet
from training.objective import Labels, objective
from training.objectives.masked_lm import MaskedLM, Masking
from training.optimizer import adamw, set_learning_rate
from training.packing import try_packing
from training.plan import chunks, share
from training.precision import has_bfloat16
from training.step_net import Inputs, StepNet

RELEVANCE = CONTRIBUTIONS.index("relevance")

_log = logging.getLogger("prefmodel")


@dataclass(frozen=True, slots=True)
class Update:
    """What an update found before it was made, over all processes.

    Args:
        loss: mean of its pairs.
        norm: length of the gradient.
        spread: standard deviation over its pairs of score of chosen minus score of rejected, in logits.
    """

    loss: float
    norm: float
    spread: float


def accelerator(config: TrainConfig, trackers: Sequence[str] = (), folder: str | None = None) -> Accelerator:
    """Return what places the work: the devices and processes that `accelerate launch` or `torchrun` set, else one.

    Args:
        config: has the precision, which holds whatever `accelerate launch` was told.
        trackers: names that accelerate knows, such as "tensorboard" and "wandb".
        folder: for the trackers' files.

    Raises:
        InputError: a tracker is not installed.
    """
    for name in trackers:
        try:
            import_module(name)  # accelerate would pass over what is missing without a word
        except ImportError:
            raise InputError(f"--track is {name}, which is not installed: pip install {name}") from None
    on_gpu = torch.cuda.is_available()
    half = config.precision == "bfloat16" or (config.precision == "auto" and has_bfloat16("cuda" if on_gpu else "cpu"))
    # Accelerate keeps the precision of the first run of a process for all that follow.
    AcceleratorState._reset_state()
    # The other processes wait while the main one builds the pairs, or asks teachers: longer than torch would let them.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))
    return Accelerator(
        cpu=not on_gpu,
        mixed_precision="bf16" if half else "no",
        log_with=list(trackers) or None,
        project_dir=folder,
        kwargs_handlers=[patience],
    )


class Engine:
    """A network, its optimizer and the way they are spread over devices.

    Args:
        place: of `accelerator`.
        net: what is trained; on the CPU, it is moved.
        encoder: of its inputs.
        pairs: what `update` is given indices of.
        config: how it is trained.
        goal: what a pair costs.
        masked_lm: what predicts masked words on the encoder of `net`, and which words are masked, or None.
        teacher: the untouched base, for `goal.base_relevance`, or None.
    """

    def __init__(
        self,
        place: Accelerator,
        net: PreferenceNet,
        encoder: PairEncoder,
        pairs: Sequence[EncodedPair],
        config: TrainConfig,
        goal: ObjectiveConfig,
        masked_lm: tuple[MaskedLM, Masking] | None = None,
        teacher: PreferenceNet | None = None,
    ):
        self.place, self.encoder, self.pairs, self._config, self._goal = place, encoder, pairs, config, goal
        self._lengths = [len(pair.chosen) + len(pair.rejected) for pair in pairs]
        self._sides, self._of_pair = _distinct(pairs)
        self._teacher = None if teacher is None else teacher.to(place.device)
        self._sharded = place.distributed_type == DistributedType.FSDP  # accelerate shards on GPUs only
        predictor = masked_lm[0] if masked_lm else None
        self._masking = masked_lm[1] if masked_lm else None
        _prepare(net, config, place.device)
        on_gpu, as_is = place.device.type == "cuda", not (predictor or self._sharded or config.compile)
        self.packed = on_gpu and as_is and _packed(net, place)
        """Whether passes are without padding."""
        all_tokens = predictor or self.packed  # the predictor reads all, and in a packed row the first is no row's own
        self.spared = 0 if all_tokens else only_first_token(net.classifier)
        """Weights that only first tokens pass."""
        if teacher is not None:
            _prepare(teacher, config, place.device)
        step_net = StepNet(net, predictor)
        if config.compile:
            net.classifier.compile(dynamic=True)
        self.net, self.optimizer = place.prepare(step_net, adamw(step_net, net.heads, config))

    def update(self, step: Sequence[int], number: int, progress: float) -> Update:
        """Compute the gradient of one update; `apply` makes it.

        Args:
            step: indices of its pairs.
            number: of the update, from 0: what masks are drawn by.
            progress: how far the run is, 0 to 1, which sets the learning rate.
        """
        processes = self.place.num_processes
        shares = [share(step, self._lengths, rank, processes) for rank in range(processes)]
        most = self._config.chunk_pairs
        number_of_chunks = math.ceil(len(shares[0]) / (most or len(shares[0])))  # the first has the most pairs
        plans = [chunks(mine, most, number_of_chunks) for mine in shares]
        mine = plans[self.place.process_index]
        set_learning_rate(self.optimizer, progress, self._config.warmup)
        found: list[Tensor] = []
        total = torch.zeros((), device=self.place.device)
        for k, chunk in enumerate(mine):
            passes = max(len(self._batches(plan[k])) for plan in plans) if self._sharded else 1
            last = k == len(mine) - 1
            with nullcontext() if last else self.place.no_sync(self.net):
                cost, differences = self._cost(chunk, step[0], passes, (number, k))
                # Gradients of the processes are averaged.
                self.place.backward(cost * (processes / len(step)))
            total = total + cost.detach()
            found.append(differences)
        norm = self.place.clip_grad_norm_(self.net.parameters(), self._config.clip or math.inf)
        return self._summed(total, torch.cat(found), norm, len(step))

    def apply(self) -> None:
        """Make the update."""
        self.optimizer.step()
        self.discard()

    def discard(self) -> None:
        """Forget the gradient."""
        self.optimizer.zero_grad(set_to_none=True)

    def _cost(self, chunk: Sequence[int], any_pair: int, passes: int, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return what a chunk costs, a scalar, and score differences of its pairs, float [pairs], without gradient.

        Args:
            chunk: indices of pairs; may be none.
            any_pair: index of a pair that is computed, and not counted, where a process has none.
            passes: at least so many forward passes.
            key: what tells this chunk from others.
        """
        batches = self._batches(chunk or [any_pair])
        row = {side: at for at, side in enumerate(side for batch in batches for side in batch)}
        batches += [batches[-1][:1]] * (passes - len(batches))
        out, words = self.net([self._inputs(batch, (*key, i)) for i, batch in enumerate(batches)])
        rest = out.sum() * 0.0 + words * 0.0  # so that every process has a gradient of every weight
        if not chunk:
            return rest, out.new_zeros(0)
        pairs = [self.pairs[i] for i in chunk]
        chosen, rejected = (out[[row[self._of_pair[i][side]] for i in chunk]] for side in (0, 1))
        labels = Labels.of(pairs, out.device)
        if self._teacher is not None:
            labels = self._taught(labels, pairs)
        cost = objective(chosen, rejected, labels, self._goal) + rest
        return cost + self._goal.masked_lm * len(pairs) * words, (chosen - rejected).detach().sum(1)

    def _batches(self, chunk: Sequence[int]) -> list[list[int]]:
        """Return batches of like length of the sides of pairs; an answer of several pairs is read once."""
        sides = list(dict.fromkeys(side for i in chunk for side in self._of_pair[i]))
        lengths = [len(self._sides[side]) for side in sides]
        return [[sides[at] for at in batch] for batch in length_batches(lengths, self._config.batch_tokens)]

    def _inputs(self, sides: Sequence[int], key: tuple[int, ...]) -> Inputs:
        arrays = self.encoder.pad([self._sides[side] for side in sides])
        out = {name: torch.from_numpy(array).to(self.place.device) for name, array in arrays.items()}
        if self._masking is not None:
            drawn = self._masking.draw(out["input_ids"], out["attention_mask"], self.place.process_index, *key)
            out["masked_ids"], out["targets"] = drawn
        return out

    def _taught(self, labels: Labels, pairs: Sequence[EncodedPair]) -> Labels:
        """Return labels with what the untouched base says of the pairs for relevance."""
        own = [i for i, pair in enumerate(pairs) if pair.head == RELEVANCE]
        if not own or self._teacher is None:
            return labels
        sides = [pairs[i].chosen for i in own] + [pairs[i].rejected for i in own]
        with torch.no_grad():
            half = self.place.mixed_precision == "bf16"
            said = forward(self._teacher, self.encoder, sides, self._config.batch_tokens, half)[:, RELEVANCE]
        labels.relevance[own] = said[: len(own)] - said[len(own) :]
        return labels

    def _summed(self, total: Tensor, differences: Tensor, norm: Any, pairs: int) -> Update:
        """Return the facts of an update, summed over the processes."""
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        sums = torch.stack([total, differences.sum(), (differences**2).sum()])
        loss, first, second = (self.place.reduce(sums, "sum") / pairs).tolist()
        return Update(loss, float(norm), math.sqrt(max(0.0, second - first**2)))


def _distinct(pairs: Sequence[EncodedPair]) -> tuple[list[Encoding], list[tuple[int, int]]]:
    """Return the distinct sides of pairs, and for each pair the numbers of its chosen and rejected side."""
    sides: list[Encoding] = []
    number: dict[tuple[int, ...], int] = {}

    def of(side: Encoding) -> int:
        key = (*side.ids, *side.type_ids)
        if key not in number:
            number[key] = len(sides)
            sides.append(side)
        return number[key]

    return sides, [(of(pair.chosen), of(pair.rejected)) for pair in pairs]


def _packed(net: PreferenceNet, place: Accelerator) -> bool:
    """Move a network to its device and pack it, where packed rows get the scores of padded ones."""
    net.to(place.device)

    def compute(batch: dict[str, Tensor]) -> Tensor:
        with torch.no_grad(), torch.autocast(place.device.type, torch.bfloat16, place.mixed_precision == "bf16"):
            found: Tensor = net(**{name: tensor.to(place.device) for name, tensor in batch.items()})
            return found.float().cpu()

    training = net.training
    net.eval()
    reason = try_packing(net.classifier, compute) if place.mixed_precision == "bf16" else "products are of float32"
    net.train(training)
    if reason and place.is_main_process:
        _log.warning("warning: %s is not packed (%s); batches are padded", type(net.classifier).__name__, reason)
    return not reason


def _prepare(net: PreferenceNet, config: TrainConfig, device: torch.device) -> None:
    if config.freeze_embeddings:
        net.classifier.get_input_embeddings().requires_grad_(False)
    if config.checkpointing:
        net.classifier.gradient_checkpointing_enable({"use_reentrant": False})
    if device.type == "cpu":
        # Measured on an AVX512-BF16 CPU: torch's fused attention took 40% of a step at head size 32; plain products
        # and a softmax, in batches that fit the cache, made the whole step 1.4 times faster.
        net.classifier.set_attn_implementation("eager")
