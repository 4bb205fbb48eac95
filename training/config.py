"""The tables of a recipe: data, objective, distillation and training. Each is checked when it is made."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from axioms.build import PER_QUESTION
from axioms.registry import NAMES
from prefmodel.errors import InputError, shown

LOSSES = ("bradley-terry", "hinge")
PRECISIONS = ("auto", "bfloat16", "float32")
KEEP = ("best", "last")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which files the pairs come from: names and globs inside the folder given as `--data`.

    Args:
        threads: files of threads, for the axioms.
        labels: files of human-labelled pairs, for the axiom "human".
        pairs: files of pairs that are built already and taken as they are.
        exclude: files of evaluation pairs; nothing with their questions, or nearly, is trained on.
        axioms: names of the axioms to run.
        limits: at most so many training pairs of an axiom ("relevance"), of one source of it ("human/hh_helpful") or of
            one of its recipes ("invariance:gender").
        per_question: at most so many pairs of one axiom for one question; axioms have caps of their own, too.
        heldout: at most so many pairs of each axiom in "dev", and as many in "test".
        licences: glob of a file to its licence, for the card.

    Raises:
        InputError: a value is not allowed.
    """

    threads: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    axioms: tuple[str, ...] = NAMES
    limits: Mapping[str, int] = field(default_factory=dict)
    per_question: int = PER_QUESTION
    heldout: int = 400
    licences: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [a for a in self.axioms if a not in NAMES]
        if unknown:
            raise InputError(f"data.axioms holds {shown(unknown[0])}; allowed: {', '.join(NAMES)}")
        for name in ("threads", "labels", "pairs", "exclude"):
            check_patterns(f"data.{name}", getattr(self, name))
        for name, most in self.limits.items():
            # Files of ready pairs bring axioms of their own.
            if re.split("[/:]", name)[0] not in NAMES and not self.pairs:
                allowed = f"AXIOM, AXIOM/SOURCE or AXIOM:RECIPE of {', '.join(NAMES)}"
                raise InputError(f"data.limits holds {shown(name)}; allowed: {allowed}")
            check_range(f"data.limits.{name}", most, 0)
        check_range("data.per_question", self.per_question, 1)
        check_range("data.heldout", self.heldout, 1)


@dataclass(frozen=True, slots=True)
class ObjectiveConfig:
    """What a pair costs; the terms are in `training.objectives`, each with its equation and source.

    Args:
        loss: "bradley-terry", or "hinge", which teaches nothing of pairs without margin: a run with such is refused.
        label_smoothing: share of labels that are taken for wrong, below .5.
        margin_scale: factor on the margins of the pairs.
        margins: margin in logits of all pairs of an axiom, in place of their own; `margin_scale` applies to it.
        weights: factor on what the pairs of an axiom cost, 1 for those not named.
        principle_weight: weight of the loss on a pair's own contribution, beside 1 for the loss on the sum.
        separate: weight of the squared margins of the contributions that are not a pair's own.
        centre: weight of the squared mean score, which keeps scores near zero.
        length: weight of the squared correlation of score differences with length ratios, within a chunk of pairs.
        teacher: weight of the squared error of margins against those of the teachers, on the pairs that they scored.
        base_relevance: weight of the squared error of the relevance contribution's margin against that of the
            untouched base, times `train.start`, on pairs for relevance.
        masked_lm: weight of predicting masked words, beside the loss on the pairs.
        masked_share: of the words that are masked for it.

    Raises:
        InputError: a value is not allowed.
    """

    loss: str = "bradley-terry"
    label_smoothing: float = 0.0
    margin_scale: float = 1.0
    margins: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    principle_weight: float = 0.3
    separate: float = 0.0
    centre: float = 0.01
    length: float = 0.0
    teacher: float = 0.0
    base_relevance: float = 0.0
    masked_lm: float = 0.0
    masked_share: float = 0.15

    def __post_init__(self) -> None:
        check_one_of("objective.loss", self.loss, LOSSES)
        below = {"label_smoothing": 0.5, "masked_share": 1.0}
        for name in _numbers(self):
            check_range(f"objective.{name}", getattr(self, name), 0, below.get(name, math.inf))
        for table in ("margins", "weights"):
            for axiom, value in getattr(self, table).items():
                check_range(f"objective.{table}.{axiom}", value, 0)


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """Pairs that no one labelled, with the opinion of teachers as their label.

    Args:
        teachers: checkpoints of runs, bundles, folders of cross-encoders or names of such on the Hub; their
            probabilities and margins are averaged. None for no distillation.
        threads: files of threads, names and globs inside `--data`; two answers of a question make a pair.
        per_question: pairs of a question, at most.
        pairs: in all, at most.
        temperature: by which the teachers' margins are divided before they become probabilities.
        labelled: the teachers score the pairs with labels too, which keep these beside the teachers' margins.

    Raises:
        InputError: a value is not allowed.
    """

    teachers: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    per_question: int = 4
    pairs: int = 10_000
    temperature: float = 1.0
    labelled: bool = False

    def __post_init__(self) -> None:
        check_patterns("distil.threads", self.threads)
        if bool(self.teachers) != bool(self.threads):
            raise InputError("distil has teachers or threads alone; allowed: both, or neither")
        for name in ("per_question", "pairs"):
            check_range(f"distil.{name}", getattr(self, name), 1)
        check_range("distil.temperature", self.temperature, 1e-3)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How the model is trained.

    Args:
        epochs: passes over the training pairs.
        step_pairs: pairs behind one update, over all processes.
        chunk_pairs: pairs behind one backward pass of a process; fewer take less memory. 0 for all of its share.
        batch_tokens: padded tokens in one forward pass; a small number suits the caches of a CPU.
        group_questions: keep the pairs of a question in one update, where an answer of several pairs is read once
            (arXiv 2203.02155, section 3.5). An update then has `step_pairs` pairs at most, and often some fewer.
        curriculum: from easy pairs to hard ones in the first epoch. How hard it is, 0 to 1, a pair has to say itself,
            by `difficulty` in its provenance; of our axioms `strength` does. Others come at random.
        learning_rate: peak, for the encoder; it rises linearly over `warmup` and falls to zero along a cosine.
        head_learning_rate: peak, for the heads.
        warmup: share of the updates, below 1.
        weight_decay: of AdamW.
        clip: largest norm of the gradient; 0 for any.
        dropout: in the encoder, below 1.
        start: factor on the classification layer that the base brings along.
        layers: keep so many of the base's lower layers, with fresh pooling and heads on top; 0 keeps all of them.
            The top of a model that was tuned for one label may hold little else.
        keep_length: train with the contribution `length` of the base in the score, and leave it as it is: what a worse
            answer gains by length, the other contributions learn to take back.
        freeze_embeddings: leave the word embeddings as they are.
        alike: words that the model shall not tell apart, such as "he she": see `training.alike`. A run says which of
            them it does, since the base's tokenizer takes them apart.
        blend: how far the weights that are left behind go from the start to what was learned, 0 to 1. Between the two a
            model that was trained on knows what is new and forgets less (arXiv 2109.01903).
        blend_base: a folder, or the name of a model on the Hub, of the same shape, such as the pretrained one that the
            base came from: `blend` goes from its weights instead of the start's; the heads stay as they were learned.
        precision: of products: "bfloat16", "float32", or "auto" for bfloat16 where the device has it in hardware.
        compile: compile the encoder with torch.compile, which pays for long runs on a GPU.
        checkpointing: compute activations again in the backward pass instead of keeping them: less memory, a third
            more time.
        keep: which weights the run leaves behind: the "best" look at the development pairs, or the "last" update.
        eval_every: updates between two looks at the development pairs.
        save_every: updates between two resumable states.

    Raises:
        InputError: a value is out of range.
    """

    epochs: int = 1
    step_pairs: int = 32
    chunk_pairs: int = 0
    batch_tokens: int = 1024
    group_questions: bool = True
    curriculum: bool = False
    learning_rate: float = 3e-5
    head_learning_rate: float = 3e-4
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    start: float = 0.3
    layers: int = 0
    keep_length: bool = False
    freeze_embeddings: bool = True
    alike: tuple[str, ...] = ()
    blend: float = 1.0
    blend_base: str = ""
    precision: str = "auto"
    compile: bool = False
    checkpointing: bool = False
    keep: str = "best"
    eval_every: int = 100
    save_every: int = 50

    def __post_init__(self) -> None:
        check_one_of("train.precision", self.precision, PRECISIONS)
        check_one_of("train.keep", self.keep, KEEP)
        if self.alike and not self.freeze_embeddings:
            raise InputError("train.freeze_embeddings is false with train.alike; allowed: true, or no train.alike")
        if self.blend > 1:
            raise InputError(f"train.blend is {self.blend}; allowed: 0 to 1")
        if self.blend_base and not self.blend_base.strip():
            raise InputError("train.blend_base is blank; allowed: a folder, a name on the Hub, or none")
        if self.blend_base and self.blend == 1:
            raise InputError("train.blend is 1 with train.blend_base; allowed: below 1, or no train.blend_base")
        counts = ("epochs", "step_pairs", "batch_tokens", "eval_every", "save_every")
        shares = ("warmup", "dropout")
        for name in _numbers(self):
            low, below = int(name in counts), 1 if name in shares else math.inf
            check_range(f"train.{name}", getattr(self, name), low, below)


def check_range(name: str, value: float, low: float, below: float = math.inf) -> None:
    """Raise InputError when a number is not in `low` to `below`."""
    # NaN is in no range; a whole number may be too large for a float.
    if not low <= value < below or value > sys.float_info.max:
        allowed = f"{low:g} to below {below:g}" if below < math.inf else f"{low:g} or more, finite"
        raise InputError(f"{name} is {shown(value)}; allowed: {allowed}")


def check_one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Raise InputError when a text is none of those allowed."""
    if value not in allowed:
        raise InputError(f"{name} is {shown(value)}; allowed: {', '.join(allowed)}")


def check_patterns(name: str, patterns: Iterable[str]) -> None:
    """Raise InputError when a name or glob names no file, leads out of the data folder, or is none for `Path.glob`."""
    for pattern in patterns:
        path = Path(pattern)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in pattern:
            raise InputError(f"{name} holds {shown(pattern)}; allowed: names and globs inside --data")
        if any("**" in part and part != "**" for part in path.parts):
            raise InputError(f"{name} holds {shown(pattern)}; allowed: ** for folders, as in 'a/**/*.jsonl'")


def _numbers(config: Any) -> list[str]:
    return [f.name for f in fields(config) if str(f.type) in ("int", "float")]
