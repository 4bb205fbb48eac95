"""What a run leaves behind beside its weights: the table of its test pairs and the picture of its curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prefmodel.baselines import bm25, longer
from prefmodel.encoding import PairEncoder
from prefmodel.evaluation import evaluate_pairs, pool
from prefmodel.report import write_report
from prefmodel.types import PreferencePair, Question
from training.curves import draw_curves
from training.measure import contributions
from training.model import PreferenceNet
from training.run_folder import RunFolder

EVALUATION = "evaluation"
CURVES = "curves.png"


def write_results(
    folder: RunFolder, net: PreferenceNet, encoder: PairEncoder, test: Sequence[PreferencePair], batch_tokens: int
) -> dict[str, float]:
    """Write `evaluation/` (accuracy by axiom, with intervals and baselines, as `prefmodel evaluate`) and `curves.png`.

    Args:
        folder: of the run.
        net: the weights that are kept.
        encoder: of its inputs.
        test: held-out pairs; without one that has a better side there is no evaluation.
        batch_tokens: padded tokens of one batch.

    Returns:
        The model's accuracy, 0 to 1, by axiom, without the axioms whose pairs have no better side.
    """

    def score(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        inputs = encoder.encode_batch(questions, answers)
        return np.asarray(contributions(net, encoder, inputs, batch_tokens).sum(1), np.float32)

    accuracy: dict[str, float] = {}
    if any(pair.target > 0.5 for pair in test):
        result = evaluate_pairs(test, {"model": score, "longer": longer, "bm25": bm25})
        (folder.path / EVALUATION).mkdir(exist_ok=True)
        write_report(folder.path / EVALUATION, {"test": result}, pool([result]), {"pairs": "heldout/test.jsonl.gz"})
        # A file with one axiom has no groups.
        axioms = result.by_axiom or {next(pair.axiom for pair in test if pair.target > 0.5): result.accuracy}
        accuracy = {axiom: round(found["model"].value, 4) for axiom, found in axioms.items()}
    draw_curves(folder.entries(), folder.path / CURVES)
    return accuracy
