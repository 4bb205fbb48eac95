"""A recipe: the whole configuration of a training run, read from a TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from prefmodel.encoding import EncodingConfig
from prefmodel.errors import FileFormatError, InputError, shown
from training.config import DataConfig, DistilConfig, ObjectiveConfig, TrainConfig, check_range

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Recipe:
    """The whole configuration of a run.

    Args:
        base: the pretrained start, a folder or the name of a model on the Hub.
        seed: of the pairs, their order and what starts at random.
        data: what the model is trained on.
        encoding: how much of a question and an answer it sees.
        objective: what a pair costs.
        distil: pairs that teachers label.
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
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if not self.base.strip():
            raise InputError(f"base is {shown(self.base)}; allowed: a folder, or the name of a model on the Hub")
        check_range("seed", self.seed, 0, 2**63)

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


_PARTS: dict[str, type] = {
    "data": DataConfig,
    "encoding": EncodingConfig,
    "objective": ObjectiveConfig,
    "distil": DistilConfig,
    "train": TrainConfig,
}
_ALLOWED = {
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "tuple[str, ...]": "a list of texts",
    "Mapping[str, int]": "a table of whole numbers",
    "Mapping[str, float]": "a table of numbers",
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
        "float": _is_number(value),
        "tuple[str, ...]": isinstance(value, list | tuple) and all(isinstance(v, str) for v in value),
        "Mapping[str, int]": isinstance(value, Mapping) and all(map(_is_whole, value.values())),
        "Mapping[str, float]": isinstance(value, Mapping) and all(map(_is_number, value.values())),
        "Mapping[str, str]": isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()),
    }
    if not good[kind]:
        raise InputError(f"{name} is {shown(value)}; allowed: {_ALLOWED[kind]}")
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
