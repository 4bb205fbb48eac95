"""How far probes raise the score of an answer that they do not make better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from prefmodel.errors import InputError
from prefmodel.evaluation import Scorer, correctness
from prefmodel.files import read_pairs
from prefmodel.intervals import BOOL, FLOAT, INT, Estimate, estimates
from prefmodel.model import PreferenceModel
from prefmodel.probe.registry import PROBES, checked, manipulated
from prefmodel.probe.results import Example, ProbeReport, ProbeResult
from prefmodel.splits import question_text
from prefmodel.types import PreferencePair, Question

PAIRS = Path(__file__).parent / "pairs.jsonl"
"""Pairs that come with the package: everyday questions, each with a good answer and one that is clearly worse."""

CLEAR = 0.75
"""A pair is clear if the model, before any manipulation, prefers the chosen answer with at least this probability."""

WORST = "worst of all"
CHUNK = 256
"""Answers that are scored between two signs of progress."""

Texts = list[list[list[str]]]
"""For rejected and chosen answers, untouched and by each of k probes, n texts: [2][1 + k][n]."""


def probe(
    model: PreferenceModel | Scorer,
    pairs: Sequence[PreferencePair],
    probes: Sequence[str] = tuple(PROBES),
    temperature: float | None = None,
    seed: int = 0,
) -> ProbeReport:
    """Measure how far each probe raises scores without a better answer.

    Every answer, chosen and rejected, is scored as it is and once as each probe changes it.

    Args:
        model: a model, or a function from n questions and n answers to scores, float [n].
        pairs: those with a target of .5 or less are counted and ignored.
        probes: names from `prefmodel.probe.registry.PROBES`.
        temperature: logits; chosen is preferred with probability sigmoid(difference of scores / temperature). By
            default the model's own, and 1 for a function.
        seed: of the phrasings and of the bootstrap.

    Raises:
        InputError: a probe does not exist, no pair is left or none is clear, or scores are not n finite numbers.

    Example:
        >>> from prefmodel.baselines import longer
        >>> pair = PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo")
        >>> report = probe(longer, [pair], ["padding", "claim"])
        >>> [(result.name, result.flipped.value) for result in report.results]
        [('padding', 1.0), ('claim', 1.0), ('worst of all', 1.0)]
    """
    names = checked(tuple(probes))
    kept = [pair for pair in pairs if pair.target > 0.5]
    if not kept:
        raise InputError(f"none of {len(pairs)} pairs has a target above .5; allowed: at least one")
    if temperature is None:
        temperature = model.bundle.temperature if isinstance(model, PreferenceModel) else 1.0
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature is {temperature}; allowed: a finite number above 0")
    margin = temperature * math.log(CLEAR / (1 - CLEAR))

    texts = _texts(kept, names, seed)
    scores, cut = _scored(model, [pair.question for pair in kept], texts)
    lead = scores[1, 0] - scores[0, 0]
    clear = lead >= margin
    if not clear.any():
        raise InputError(
            f"none of {len(kept)} pairs is clear to the model; allowed: at least one whose chosen answer is ahead by "
            f"{margin:.2f} logits, a probability of {CLEAR}"
        )
    measured = _Measured(kept, names, texts, scores, cut, clear, seed)
    results = [measured.result(name, np.full((2, len(kept)), i)) for i, name in enumerate(names)]
    if len(names) > 1:
        results.append(measured.result(WORST, scores[:, 1:].argmax(axis=1)))
    return ProbeReport(
        pairs=len(kept),
        questions=int(measured.clusters.max()) + 1,
        ignored=len(pairs) - len(kept),
        accuracy=measured.mean({"accuracy": correctness(lead)})["accuracy"],
        clear=int(clear.sum()),
        clear_margin=margin,
        sd=measured.sd,
        cut=None if cut is None else int((cut[:, 0] > 0).sum()),
        results=tuple(results),
    )


def packaged_pairs() -> list[PreferencePair]:
    """Return the pairs that come with the package; `provenance` says their topic and what is wrong with rejected.

    >>> packaged_pairs()[0].provenance["flaw"]
    'vague'
    """
    return list(read_pairs(PAIRS))


class _Measured:
    """Texts and their scores, and what follows from them.

    Three axes, here and below: rejected and chosen; untouched and each of k probes; n pairs.

    Args:
        pairs: n pairs.
        names: of k probes.
        texts: [2][1 + k][n].
        scores: float64 [2, 1 + k, n], logits.
        cut: int64 [2, 1 + k, n], tokens; None where it is unknown.
        clear: bool [n].
        seed: of the bootstrap.
    """

    def __init__(
        self,
        pairs: Sequence[PreferencePair],
        names: Sequence[str],
        texts: Texts,
        scores: FLOAT,
        cut: INT | None,
        clear: BOOL,
        seed: int,
    ):
        self._pairs, self._names, self._texts, self._scores, self._cut = pairs, names, texts, scores, cut
        self._clear, self._seed = clear, seed
        questions = [question_text(pair.question) for pair in pairs]
        number = {text: i for i, text in enumerate(sorted(set(questions)))}  # whatever the order of the pairs
        self.clusters = np.array([number[text] for text in questions], np.int64)
        self.sd = float(scores[:, 0].std())

    def mean(self, values: Mapping[str, ArrayLike], where: BOOL | None = None) -> dict[str, Estimate]:
        """Return the mean of each row of values, [n], with its interval."""
        rows = {name: np.asarray(row, np.float64) for name, row in values.items()}
        where = np.ones(len(self._pairs), np.bool_) if where is None else where
        return estimates(rows, self.clusters, where, self._seed)

    def result(self, name: str, which: INT) -> ProbeResult:
        """Return what it does to put, for each rejected and chosen answer, the probe `which`, int64 [2, n]."""
        index = 1 + which[:, None]
        before, after = self._scores[:, 0], np.take_along_axis(self._scores, index, axis=1)[:, 0]
        rejected, chosen = after - before
        most = int(rejected.argmax())
        return ProbeResult(
            name=name,
            **self.mean(
                {"shift": rejected, "shift_sd": rejected / self.sd, "shift_chosen": chosen, "rises": rejected > 0}
            ),
            **self.mean({"flipped": after[0] > before[1]}, self._clear),
            cut=None if self._cut is None else int((np.take_along_axis(self._cut, index, axis=1) > 0).sum()),
            example=Example(
                question=question_text(self._pairs[most].question),
                answer=self._pairs[most].rejected,
                manipulated=self._texts[0][1 + which[0, most]][most],
                probe=self._names[which[0, most]],
                score=float(before[0, most]),
                manipulated_score=float(after[0, most]),
                chosen_score=float(before[1, most]),
            ),
        )


def _texts(pairs: Sequence[PreferencePair], names: Sequence[str], seed: int) -> Texts:
    """Return every answer as it is and as each probe changes it."""
    sides = [(pair.question, pair.rejected) for pair in pairs], [(pair.question, pair.chosen) for pair in pairs]
    return [
        [[answer for _, answer in side], *([manipulated(name, *asked, seed) for asked in side] for name in names)]
        for side in sides
    ]


def _scored(model: PreferenceModel | Scorer, questions: list[Question], texts: Texts) -> tuple[FLOAT, INT | None]:
    """Return the score of each text, float64, and its tokens that were cut, int64, if known; shapes as of `texts`."""
    answers = [text for side in texts for row in side for text in row]
    shape = (len(texts), len(texts[0]), len(questions))
    asked = questions * (shape[0] * shape[1])
    if not isinstance(model, PreferenceModel):
        scores = np.asarray(model(asked, answers), np.float64)  # at once: BM25 takes its weights from the whole
        if scores.shape != (len(answers),) or not np.isfinite(scores).all():
            raise InputError(f"the scorer returned shape {scores.shape}, or NaN; allowed: {len(answers)} numbers")
        return scores.reshape(shape), None
    scores, cut = np.zeros(len(answers)), np.zeros(len(answers), np.int64)
    with tqdm(total=len(answers), unit="answer", disable=None) as bar:
        for start in range(0, len(answers), CHUNK):
            some = slice(start, start + CHUNK)
            batch = model.score_batch(asked[some], answers[some])
            scores[some], cut[some] = batch.scores, batch.answer_cut
            bar.update(len(batch))
    return scores.reshape(shape), cut.reshape(shape)
