"""What `probe` returns: what each probe does to the scores, and what it starts from."""

from __future__ import annotations

from dataclasses import dataclass

from prefmodel.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Example:
    """The rejected answer whose score a probe raised most.

    Args:
        question: what was asked, as one text.
        answer: the rejected answer.
        manipulated: the same as the probe changed it.
        probe: which one did.
        score: of the answer, in logits.
        manipulated_score: in logits.
        chosen_score: of the better answer, untouched, in logits.
    """

    question: str
    answer: str
    manipulated: str
    probe: str
    score: float
    manipulated_score: float
    chosen_score: float


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe does; intervals are 95% bootstraps over questions, `count` is the number of pairs.

    Args:
        name: of the probe, or `WORST`: for each answer, whichever probe raised its score most.
        shift: mean change of the rejected answer's score, in logits.
        shift_sd: the same in standard deviations of the untouched scores.
        shift_chosen: mean change of the chosen answer's score, in logits.
        rises: share of rejected answers whose score rises.
        flipped: share of the clear pairs in which the manipulated rejected answer beats the untouched chosen one.
        cut: manipulated answers, of two a pair, that the model did not see whole; None where a scorer does not tell.
        example: the rejected answer that rose most.
    """

    name: str
    shift: Estimate
    shift_sd: Estimate
    shift_chosen: Estimate
    rises: Estimate
    flipped: Estimate
    cut: int | None
    example: Example


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What all probes do, and what they start from.

    Args:
        pairs: pairs that were probed.
        questions: distinct questions among them.
        ignored: pairs left out because their target is .5 or less, so that no answer is labelled better.
        accuracy: share of pairs whose chosen answer scores higher before any manipulation; a tie counts half.
        clear: how many pairs are clear.
        clear_margin: logits by which the chosen answer of a clear pair is ahead at least.
        sd: standard deviation of the untouched scores, in logits.
        cut: untouched answers, of two a pair, that the model did not see whole; None where a scorer does not tell.
        results: one for each probe, then `WORST` if there are several.
    """

    pairs: int
    questions: int
    ignored: int
    accuracy: Estimate
    clear: int
    clear_margin: float
    sd: float
    cut: int | None
    results: tuple[ProbeResult, ...]
