"""A recipe: the whole configuration of a training run, read from a TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
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
    """Which files the pairs come from. Names and globs are relative to the folder given as `--data`.

    Args:
        threads: files of threads, for the axioms.
        labels: files of human-labelled pairs, for the axiom "human".
        pairs: files of pairs that are built already and taken as they are.
        exclude: files of evaluation pairs; nothing with their questions, or nearly, is trained on.
        axioms: names of the axioms to run.
        limits: at most so many training pairs of an axiom ("relevance") or of one source of it ("human/hh_helpful").
        heldout: at most so many pairs of each axiom in "dev", and as many in "test".
        licences: glob of a file to its licence, for the card.
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
        _at_least(self, "data.heldout", self.heldout, 1)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How the model is trained.

    Args:
        epochs: passes over the training pairs.
        step_pairs: pairs behind one update.
        batch_tokens: padded tokens in one forward pass; a small number suits the caches of a CPU.
        learning_rate: peak, for the encoder; it rises linearly over `warmup` and falls to zero along a cosine.
        head_learning_rate: peak, for the heads.
        warmup: share of the updates.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        dropout: in the encoder.
        start: factor on the classification layer that the base brings along.
        principle_weight: weight of the loss on a pair's own contribution, beside 1 for the loss on the sum.
        margin_scale: factor on the margins of the pairs.
        centre: weight of the squared mean score, which keeps scores near zero.
        freeze_embeddings: leave the word embeddings as they are.
        eval_every: updates between two looks at the development pairs.
        save_every: updates between two resumable checkpoints.
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
    principle_weight: float = 0.3
    margin_scale: float = 1.0
    centre: float = 0.01
    freeze_embeddings: bool = True
    eval_every: int = 100
    save_every: int = 50

    def __post_init__(self) -> None:
        for name in ("epochs", "step_pairs", "batch_tokens", "eval_every", "save_every"):
            _at_least(self, f"train.{name}", getattr(self, name), 1)
        for f in fields(self):
            _at_least(self, f"train.{f.name}", getattr(self, f.name), 0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whole configuration of a run: the pretrained base, a seed, and the three parts above.

    >>> Recipe.from_dict({"base": "some/encoder", "train": {"epochs": 2}}).train.epochs
    2
    """

    base: str
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a TOML file.

        Raises:
            FileFormatError: the file is missing or no TOML, or a key or value is not allowed; the text names it.
        """
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except OSError:
            raise FileFormatError(f"{path}: no such recipe") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, InputError) as error:
            raise FileFormatError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Build a recipe from the tables of a TOML file; raise InputError for an unknown key or a wrong value."""
        return _filled(cls, values, "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, to be saved with the run."""
        return asdict(self)


_PARTS: dict[str, type] = {"data": DataConfig, "encoding": EncodingConfig, "train": TrainConfig}


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
    allowed = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "tuple[str, ...]": isinstance(value, list | tuple) and all(isinstance(v, str) for v in value),
        "Mapping[str, int]": isinstance(value, Mapping) and all(isinstance(v, int) for v in value.values()),
        "Mapping[str, str]": isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()),
    }
    if not allowed[kind]:
        raise InputError(f"{name} is {shown(value)}; allowed: {kind}")
    return tuple(value) if isinstance(value, list) else value


def _at_least(obj: object, name: str, value: float, low: float) -> None:
    assert is_dataclass(obj)
    if value < low:
        raise InputError(f"{name} is {value}; allowed: {low} or more")
