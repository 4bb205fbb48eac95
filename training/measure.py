"""What a model makes of encoded inputs and of labelled pairs, without training it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prefmodel.encoding import Encoding, PairEncoder
from prefmodel.errors import PrefModelError
from prefmodel.evaluation import pairwise_accuracy
from prefmodel.types import CONTRIBUTIONS, PreferencePair
from training.forward import forward


def contributions(
    net: nn.Module,
    encoder: PairEncoder,
    encodings: Sequence[Encoding],
    batch_tokens: int,
    bfloat16: bool | None = None,
) -> NDArray[np.float32]:
    """Return the contributions of encoded inputs in logits, float32 [n, 6], computed in evaluation mode.

    Args:
        net: is left in the mode, training or evaluation, that it was in.
        encoder: pads the batches.
        encodings: n of them, may be none.
        batch_tokens: padded tokens of one batch.
        bfloat16: faster, to about two digits; False for float32; by default what the device is made for.
    """
    if not encodings:
        return np.zeros((0, len(CONTRIBUTIONS)), np.float32)
    was_training = net.training
    net.eval()
    with torch.no_grad():
        out = forward(net, encoder, encodings, batch_tokens, bfloat16)
    net.train(was_training)
    return np.asarray(out.cpu().numpy(), np.float32)


def accuracy_by_axiom(
    net: nn.Module,
    encoder: PairEncoder,
    pairs: Sequence[PreferencePair],
    batch_tokens: int,
    bfloat16: bool | None = None,
) -> dict[str, float]:
    """Return the share of pairs whose chosen answer scores higher, for each axiom; ties count half.

    Args:
        net: gives the score, the sum of its contributions.
        encoder: of its inputs.
        pairs: may be none; those whose target is .5 or less do not count, as in `evaluate_pairs`.
        batch_tokens: padded tokens of one batch.
        bfloat16: as for `contributions`.

    Raises:
        PrefModelError: a score is infinite or not a number.
    """
    pairs = [p for p in pairs if p.target > 0.5]
    questions = [p.question for p in pairs]
    sides = encoder.encode_batch(questions + questions, [p.chosen for p in pairs] + [p.rejected for p in pairs])
    scores = contributions(net, encoder, sides, batch_tokens, bfloat16).sum(1)
    if not np.isfinite(scores).all():
        raise PrefModelError("the model's scores are infinite or not numbers; train.learning_rate may be too high")
    margins: dict[str, list[float]] = defaultdict(list)
    for pair, good, bad in zip(pairs, scores[: len(pairs)], scores[len(pairs) :], strict=True):
        margins[pair.axiom].append(float(good - bad))
    return {axiom: round(pairwise_accuracy(np.array(m)), 4) for axiom, m in sorted(margins.items())}


def sample_by_axiom(pairs: Sequence[PreferencePair], most: int) -> list[PreferencePair]:
    """Return the first `most` pairs of each axiom.

    >>> pair = PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo")
    >>> len(sample_by_axiom([pair] * 5, most=2))
    2
    """
    kept: dict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        if len(kept[pair.axiom]) < most:
            kept[pair.axiom].append(pair)
    return [pair for part in kept.values() for pair in part]
