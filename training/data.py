"""The pairs of a run: built from the recipe's files, split, filtered, limited and encoded."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from typing import Any

from axioms.build import DUPLICATE, EQUAL, OVER_CAP, Counts, build_pairs, by_split, exclusions, read_sources
from axioms.registry import NAMES
from prefmodel.encoding import Encoding, PairEncoder
from prefmodel.errors import FileFormatError, InputError, shown
from prefmodel.files import read_pairs, sha256
from prefmodel.overlap import Exclusions, QuestionIndex
from prefmodel.types import CONTRIBUTIONS, PreferencePair, Question
from training.config import DataConfig, ObjectiveConfig

EXCLUDED = "excluded"
"""Entry of a run's report: its excluded files with hashes. Of earlier versions there are their names alone."""
DISTILLED = "distilled"
"""What stands for the axiom of pairs that teachers label."""
WITHOUT_PAIRS = (*NAMES, DISTILLED)
"""Axioms that an objective may name though there are no pairs of them: a recipe is for data of many kinds."""
TEACHER_MARGIN = "teacher_margin"
"""Entry of a distilled pair's provenance: score of the chosen minus that of the rejected answer, by its teachers."""


@dataclass(frozen=True, slots=True)
class RunData:
    """The pairs of a run.

    Args:
        train: in random order.
        dev: for looking at while training, and for fitting the temperature.
        test: for measuring at the end.
        report: files with hashes and licences, pairs by axiom, what was left out and why; JSON values.
    """

    train: list[PreferencePair]
    dev: list[PreferencePair]
    test: list[PreferencePair]
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair as the model sees it.

    Args:
        chosen: the question with the preferred answer.
        rejected: the question with the other answer.
        head: index of the pair's own contribution in `CONTRIBUTIONS`.
        margin: logits by which the two should differ.
        target: probability that the chosen answer is better.
        weight: factor on what the pair costs.
        log_ratio: log of the characters of the chosen by those of the rejected answer.
        taught: margin by the teachers; NaN without.
        question: number of the question; pairs of one question share it.
        axiom: name of the axiom.
        difficulty: 0 for an easy pair, 1 for a hard one, as its axiom says; NaN if it does not.
    """

    chosen: Encoding
    rejected: Encoding
    head: int
    margin: float
    target: float
    weight: float = 1.0
    log_ratio: float = 0.0
    taught: float = math.nan
    question: int = 0
    axiom: str = ""
    difficulty: float = math.nan


def load(config: DataConfig, folder: str | Path, seed: int, say: Callable[[str], None]) -> RunData:
    """Build the pairs of a run from the files in `folder`.

    A question's hash decides its split. Pairs with an excluded question, or nearly, are left out of all splits, and
    training pairs with a question of "dev" or "test", or nearly; the report counts them.

    Args:
        config: names of the files, axioms and limits.
        folder: where the files are.
        seed: the same seed and files give the same pairs in the same order.
        say: is told what is being done.

    Raises:
        FileFormatError: a file is missing or malformed.
        InputError: a limit names what there are no pairs of, or no training pairs are left.
    """
    say("reading threads and labels")
    used = files(folder, _used(config))
    threads, labels = read_sources(files(folder, (*config.threads, *config.labels)))
    ready = [pair for path in files(folder, config.pairs) for pair in read_pairs(path)]
    excluded = files(folder, config.exclude)
    exclude = exclusions([], (pair for path in excluded for pair in read_pairs(path)))

    say(f"building pairs from {len(threads)} threads and {len(labels)} labels")
    counts = Counts()
    built = build_pairs(threads, labels, config.axioms, seed, exclude, counts=counts, per_question=config.per_question)
    pairs = [*built]
    pairs.extend(_usable(ready, exclude, counts))
    _check_limits(config.limits, pairs)
    splits = by_split(pairs)
    rng = Random(f"{seed}/limits")
    dev, test = (_limited(splits[name], {}, rng, config.heldout) for name in ("dev", "test"))
    heldout = QuestionIndex([pair.question for pair in (*dev, *test)])
    clean = [pair for pair in splits["train"] if heldout.match(pair.question) is None]
    train = _limited(clean, config.limits, rng)
    if not train:
        raise _nothing_left(len(pairs), counts.excluded.total())
    for name, part in (("dev", dev), ("test", test)):
        if not part:
            say(f"no pairs are left for {name}: none of {len(pairs)} has a question whose hash falls there")
    report = {
        "files": [described(path, folder, config.licences) for path in used],
        "excluded_files": [str(path.relative_to(folder)) for path in excluded],
        EXCLUDED: [described(path, folder, config.licences) for path in excluded],
        "pairs": {name: _by_axiom(part) for name, part in (("train", train), ("dev", dev), ("test", test))},
        "left_out": {
            "question or text of an excluded file": dict(counts.excluded),
            "sides equal up to spaces": dict(counts.left_out[EQUAL]),
            "same as another": dict(counts.left_out[DUPLICATE]),
            "over the cap of a question": dict(counts.left_out[OVER_CAP]),
            "question near a held-out one": len(splits["train"]) - len(clean),
            "over a limit": len(clean) - len(train),
        },
    }
    return RunData(train, dev, test, report)


def _nothing_left(built: int, excluded: int) -> InputError:
    """Return the error that says why there are no training pairs."""
    more = f", and data.exclude left out {excluded} more" if excluded else ""
    places = "data.threads, data.limits and data.exclude" if excluded else "data.threads and data.limits"
    return InputError(f"no training pairs are left of {built} built{more}; look at {places}")


def check_same_files(
    run: RunData, config: DataConfig, folder: str | Path, out: Path, distilled: Sequence[str] = ()
) -> None:
    """Raise InputError when the files of a run that began in `out` are not those in `folder`.

    Args:
        run: with the report of how it began.
        config: names the files.
        folder: where they are.
        out: folder of the run.
        distilled: names of the files that its teachers labelled.
    """
    report = run.report
    began = report["files"] + report.get("distil", {}).get("files", []) + report.get(EXCLUDED, [])
    names = [*_used(config)], distilled, config.exclude if EXCLUDED in report else ()
    now = [described(path, folder, config.licences) for part in names for path in files(folder, part)]
    if now != began:
        raise InputError(f"output is {out}, where a run with other data began; allowed: a new folder")


def check_axioms(objective: ObjectiveConfig, run: RunData) -> None:
    """Raise InputError when an objective names what is the axiom of no pairs, unless it is in `WITHOUT_PAIRS`."""
    seen = dict.fromkeys(pair.axiom for pair in (*run.train, *run.dev, *run.test))
    for table in ("margins", "weights"):
        for name in getattr(objective, table):
            if name not in seen and name not in WITHOUT_PAIRS:
                allowed = ", ".join(sorted(seen))
                raise InputError(
                    f"objective.{table} holds {shown(name)}, of which there are no pairs; allowed: {allowed}"
                )


def check_margins(objective: ObjectiveConfig, pairs: Iterable[PreferencePair]) -> None:
    """Raise InputError when a hinge has training pairs that it teaches nothing: one side better, and no margin.

    A model that scores all answers alike costs nothing on these, and has no gradient.
    """
    if objective.loss != "hinge":
        return
    bare = {
        pair.axiom
        for pair in pairs
        if pair.target != 0.5 and not _margin(pair, objective) and objective.weights.get(pair.axiom, 1.0)
    }
    if bare:
        raise InputError(
            f"objective.loss is 'hinge', and there are pairs without margin of {', '.join(sorted(bare))}; "
            "allowed: objective.margins (times objective.margin_scale) above 0 for each, or 'bradley-terry'"
        )


def _margin(pair: PreferencePair, objective: ObjectiveConfig) -> float:
    return objective.margins.get(pair.axiom, pair.margin) * objective.margin_scale


def _used(config: DataConfig) -> tuple[str, ...]:
    return (*config.threads, *config.labels, *config.pairs)


def encode(
    pairs: Sequence[PreferencePair], encoder: PairEncoder, objective: ObjectiveConfig
) -> tuple[list[EncodedPair], int]:
    """Encode pairs, with the margins and weights that the objective gives to their axioms.

    Returns:
        The encoded pairs in their order, and how many were dropped because truncation made their two sides equal.
    """
    questions = [pair.question for pair in pairs]
    chosen = encoder.encode_batch(questions, [pair.chosen for pair in pairs])
    rejected = encoder.encode_batch(questions, [pair.rejected for pair in pairs])
    numbers: dict[Question, int] = {}
    out = [
        EncodedPair(
            good,
            bad,
            head=CONTRIBUTIONS.index(pair.principle or "general"),
            margin=_margin(pair, objective),
            target=pair.target,
            weight=objective.weights.get(pair.axiom, 1.0),
            log_ratio=math.log((len(pair.chosen) + 1) / (len(pair.rejected) + 1)),
            taught=_number(pair, TEACHER_MARGIN),
            question=numbers.setdefault(pair.question, len(numbers)),
            axiom=pair.axiom,
            difficulty=_number(pair, "difficulty"),
        )
        for pair, good, bad in zip(pairs, chosen, rejected, strict=True)
        if good.ids != bad.ids
    ]
    return out, len(pairs) - len(out)


def _number(pair: PreferencePair, name: str) -> float:
    """Return a number of a pair's provenance, NaN where it has none."""
    value = pair.provenance.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) <= sys.float_info.max else math.nan


def _usable(pairs: Iterable[PreferencePair], exclude: Exclusions, counts: Counts) -> Iterator[PreferencePair]:
    """Yield the ready pairs that pass what `build_pairs` asks of those that it builds."""
    for pair in pairs:
        if pair.chosen.split() == pair.rejected.split():
            counts.left_out[EQUAL][pair.axiom] += 1
        elif reason := exclude.reason(pair.question, (pair.chosen, pair.rejected)):
            counts.left_out[reason][pair.axiom] += 1
        else:
            yield pair


def files(folder: str | Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files in `folder` that match, each once, in the order of the patterns."""
    out: list[Path] = []
    for pattern in patterns:
        found = sorted(Path(folder).glob(pattern))
        if not found:
            raise FileFormatError(f"{Path(folder) / pattern}: no such file")
        out.extend(path for path in found if path not in out)
    return out


def _limited(
    pairs: Sequence[PreferencePair], limits: Mapping[str, int], rng: Random, default: int | None = None
) -> list[PreferencePair]:
    """Return pairs in random order, as many of an axiom, of one of its sources or its recipes as its limit allows."""
    taken: Counter[str] = Counter()
    out = []
    for pair in rng.sample(pairs, len(pairs)):
        names = _limit_names(pair)
        caps = [limits.get(name, default if name == pair.axiom else None) for name in names]
        if all(cap is None or taken[name] < cap for name, cap in zip(names, caps, strict=True)):
            taken.update(names)
            out.append(pair)
    return out


def _limit_names(pair: PreferencePair) -> list[str]:
    """Return the names that a limit for a pair can have: its axiom, a source of it and, where it has one, a recipe."""
    recipe = pair.provenance.get("recipe")
    return [pair.axiom, f"{pair.axiom}/{pair.source}", *([f"{pair.axiom}:{recipe}"] if recipe else [])]


def _check_limits(limits: Mapping[str, int], pairs: Iterable[PreferencePair]) -> None:
    """Raise InputError when a limit is of none of the pairs, unless it names an axiom, which may be without pairs."""
    seen = dict.fromkeys(name for pair in pairs for name in _limit_names(pair))
    for name in limits if seen else ():  # without any pairs there is more to say than this
        if name not in seen and name not in NAMES:
            axiom = re.split("[/:]", name)[0]
            known = [other for other in seen if re.split("[/:]", other)[0] == axiom] or [*seen]
            allowed = ", ".join(known)
            raise InputError(f"data.limits holds {shown(name)}, of which there are no pairs; allowed: {allowed}")


def described(path: Path, folder: str | Path, licences: Mapping[str, str]) -> dict[str, str]:
    """Return a file's name inside `folder`, its SHA-256 and its licence, by the first glob that it matches."""
    name = str(path.relative_to(folder))
    licence = next((text for pattern, text in licences.items() if fnmatch(name, pattern)), "not stated")
    return {"file": name, "sha256": sha256(path), "licence": licence}


def _by_axiom(pairs: Iterable[PreferencePair]) -> dict[str, int]:
    return dict(sorted(Counter(pair.axiom for pair in pairs).items()))
