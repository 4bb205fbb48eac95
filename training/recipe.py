"""A recipe: the whole configuration of a training run, read from a TOML file."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from axioms.registry import NAMES
from prefmodel.encoding import EncodingConfig
from prefmodel.errors import FileFormatError, InputError, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which files the pairs come from: names and globs inside the folder given as `--data`.

    Args:
        threads: files of threads, for the axioms.
        labels: files of human-labelled pairs, for the axiom "human".
        pairs: files of pairs that are built already and taken as they are.
        exclude: files of evaluation pairs; nothing with their questions, or nearly, is trained on.
        axioms: names of the axioms to run.
        limits: at most so many training pairs of an axiom ("relevance") or of one source of it ("human/hh_helpful").
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
    heldout: int = 400
    licences: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [a for a in self.axioms if a not in NAMES]
        if unknown:
            raise InputError(f"data.axioms holds {shown(unknown[0])}; allowed: {', '.join(NAMES)}")
        for name in ("threads", "labels", "pairs", "exclude"):
            for pattern in getattr(self, name):
                if not pattern or Path(pattern).is_absolute():
                    raise InputError(f"data.{name} holds {shown(pattern)}; allowed: names and globs inside --data")
        for name, most in self.limits.items():
            # Files of ready pairs bring axioms of their own.
            if name.partition("/")[0] not in NAMES and not self.pairs:
                raise InputError(
                    f"data.limits holds {shown(name)}; allowed: AXIOM or AXIOM/SOURCE of {', '.join(NAMES)}"
                )
            _check_range(f"data.limits.{name}", most, 0)
        _check_range("data.heldout", self.heldout, 1)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How the model is trained.

    Args:
        epochs: passes over the training pairs.
        step_pairs: pairs behind one update.
        batch_tokens: padded tokens in one forward pass; a small number suits the caches of a CPU.
        learning_rate: peak, for the encoder; it rises linearly over `warmup` and falls to zero along a cosine.
        head_learning_rate: peak, for the heads.
        warmup: share of the updates, below 1.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        dropout: in the encoder, below 1.
        start: factor on the classification layer that the base brings along.
        layers: keep so many of the base's lower layers, with fresh pooling and heads on top; 0 keeps all of them.
            The top of a model that was tuned for one label may hold little else.
        principle_weight: weight of the loss on a pair's own contribution, beside 1 for the loss on the sum.
        separate: weight of the squared margins of the contributions that are not a pair's own.
        distil: weight of the squared error of the relevance contribution's margin against that of the untouched base,
            times `start`, on pairs for relevance.
        margin_scale: factor on the margins of the pairs.
        centre: weight of the squared mean score, which keeps scores near zero.
        freeze_embeddings: leave the word embeddings as they are.
        eval_every: updates between two looks at the development pairs.
        save_every: updates between two resumable states.

    Raises:
        InputError: a value is out of range.
    """

    epochs: int = 1
    step_pairs: int = 32
    batch_tokens: int = 1024
    learning_rate: float = 3e-5
    head_learning_rate: float = 3e-4
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    dropout: float = 0.0
    start: float = 0.3
    layers: int = 0
    principle_weight: float = 0.3
    separate: float = 0.0
    distil: float = 0.0
    margin_scale: float = 1.0
    centre: float = 0.01
    freeze_embeddings: bool = True
    eval_every: int = 100
    save_every: int = 50

    def __post_init__(self) -> None:
        counts = ("epochs", "step_pairs", "batch_tokens", "eval_every", "save_every")
        shares = ("warmup", "dropout")
        for f in fields(self):
            value = getattr(self, f.name)
            _check_range(f"train.{f.name}", value, int(f.name in counts), 1 if f.name in shares else math.inf)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whole configuration of a run.

    Args:
        base: the pretrained start, a folder or the name of a model on the Hub.
        seed: of the pairs, their order and what starts at random.
        data: what the model is trained on.
        encoding: how much of a question and an answer it sees.
        train: how it is trained.

    Raises:
        InputError: a value is not allowed.

    >>> Recipe.from_dict({"base": "some/encoder", "train": {"epochs": 2}}).train.epochs
    2
    """

    base: str
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if not self.base.strip():
            raise InputError(f"base is {shown(self.base)}; allowed: a folder, or the name of a model on the Hub")
        _check_range("seed", self.seed, 0, 2**63)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a TOML file; its tables and keys are the names of the fields above.

        Raises:
            FileFormatError: the file is missing or no TOML, or a key or value is not allowed; the text names it.
        """
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise FileFormatError(f"{path}: no recipe: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as error:
            raise FileFormatError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Build a recipe from the tables of a TOML file; raise InputError for an unknown key or a wrong value."""
        recipe: Recipe = _filled(cls, values, "")
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, to be saved with the run."""
        return asdict(self)


_PARTS: dict[str, type] = {"data": DataConfig, "encoding": EncodingConfig, "train": TrainConfig}
_ALLOWED = {
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "tuple[str, ...]": "a list of texts",
    "Mapping[str, int]": "a table of whole numbers",
    "Mapping[str, str]": "a table of texts",
}
"""What a value of each annotated type may be, for people."""


def _filled(cls: type, values: Mapping[str, Any], where: str) -> Any:
    own = {f.name: f for f in fields(cls)}
    out: dict[str, Any] = {}
    for name, value in values.items():
        if name not in own:
            raise InputError(f"{where}{name} is unknown; allowed: {', '.join(own)}")
        if where == "" and name in _PARTS:
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is {shown(value)}; allowed: a table")
            out[name] = _filled(_PARTS[name], value, f"{name}.")
        else:
            out[name] = _typed(f"{where}{name}", value, str(own[name].type))
    if "base" in own and "base" not in out:
        raise InputError("base is missing; allowed: a folder, or the name of a model on the Hub")
    return cls(**out)


def _typed(name: str, value: Any, kind: str) -> Any:
    """Return `value` if it is of the annotated type; lists become tuples, whole numbers serve as floats."""
    good = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": _is_whole(value),
        "float": _is_whole(value) or isinstance(value, float),
        "tuple[str, ...]": isinstance(value, list | tuple) and all(isinstance(v, str) for v in value),
        "Mapping[str, int]": isinstance(value, Mapping) and all(map(_is_whole, value.values())),
        "Mapping[str, str]": isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()),
    }
    if not good[kind]:
        raise InputError(f"{name} is {shown(value)}; allowed: {_ALLOWED[kind]}")
    return tuple(value) if isinstance(value, list) else value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_range(name: str, value: float, low: float, below: float = math.inf) -> None:
    if not low <= value < below:  # NaN is in no range
        allowed = f"{low:g} to below {below:g}" if below < math.inf else f"{low:g} or more, finite"
        raise InputError(f"{name} is {value}; allowed: {allowed}")
