"""Recipes: what is read, and what an error says."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from axioms.registry import NAMES
from prefmodel.encoding import EncodingConfig
from prefmodel.errors import FileFormatError, InputError, PrefModelError
from training.config import DataConfig, DistilConfig, ObjectiveConfig, TrainConfig
from training.recipe import Recipe, tomllib

TABLES = {
    "data": DataConfig,
    "encoding": EncodingConfig,
    "objective": ObjectiveConfig,
    "distil": DistilConfig,
    "train": TrainConfig,
}
DEFAULT = Path(__file__).parents[1] / "recipes" / "default.toml"


@pytest.mark.parametrize("path", sorted(DEFAULT.parent.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_read(path):
    recipe = Recipe.read(path)
    assert recipe.data.limits["relevance"] > 0
    assert recipe.encoding.max_tokens > recipe.encoding.question_tokens
    assert "eval/*.jsonl.gz" in recipe.data.exclude


COUNTED = {"usefulness", "strength", "human"}
"""Axioms that pass on votes, ratings and labels, of which there are only so many; others make pairs of any answer."""


@pytest.mark.parametrize("path", sorted(DEFAULT.parent.glob("*.toml")), ids=lambda path: path.stem)
def test_a_recipe_names_its_axioms_and_limits_those_that_could_swamp_the_mix(path):
    data = tomllib.loads(path.read_text(encoding="utf-8"))["data"]
    limited = {name for name in data["limits"] if name in NAMES}
    assert set(data["axioms"]) - limited <= COUNTED
    assert {re.split("[/:]", name)[0] for name in data["limits"]} <= set(data["axioms"])


def test_the_small_recipes_hold_as_many_pairs_as_they_say():
    for name in ("small", "small-reddit"):
        assert sum(Recipe.read(DEFAULT.with_stem(name)).data.limits.values()) == 3200


def test_what_is_left_out_has_its_default():
    assert Recipe.from_dict({"base": "b"}) == Recipe("b", 0, *(cls() for cls in TABLES.values()))


def test_a_recipe_survives_its_saved_form():
    recipe = Recipe.read(DEFAULT)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_values_are_taken_over():
    table = {"threads": ["a.jsonl"], "limits": {"human": 3, "human/demo": 2, "human:x": 1}, "heldout": 7}
    recipe = Recipe.from_dict({"base": "b", "seed": 5, "data": table, "train": {"clip": 2}})
    assert recipe.data.threads == ("a.jsonl",)
    assert recipe.data.limits == {"human": 3, "human/demo": 2, "human:x": 1}
    assert (recipe.seed, recipe.data.heldout, recipe.train.clip) == (5, 7, 2)


@pytest.mark.parametrize("table", ["", *TABLES])
def test_unknown_keys_are_named(table):
    values = {"base": "b"}
    (values.setdefault(table, {}) if table else values)["nonsense"] = 1
    cls = {"": Recipe, **TABLES}[table]
    name = f"{table}.nonsense".removeprefix(".")
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(values)
    assert str(caught.value) == f"{name} is unknown; allowed: {', '.join(f.name for f in fields(cls))}"


WRONG_TYPES = {
    "str": (3, "text"),
    "bool": (1, "true or false"),
    "int": (True, "a whole number"),
    "float": ("3", "a number"),
    "tuple[str, ...]": ("one", "a list of texts"),
    "Mapping[str, int]": ({"human": 1.5}, "a table of whole numbers"),
    "Mapping[str, float]": ({"human": "3"}, "a table of numbers"),
    "Mapping[str, str]": ({"*": 1}, "a table of texts"),
}
FIELDS = [
    (table, f.name, str(f.type))
    for table, cls in (("", Recipe), *TABLES.items())
    for f in fields(cls)
    if str(f.type) in WRONG_TYPES
]


@pytest.mark.parametrize(("table", "name", "kind"), FIELDS)
def test_wrong_types_are_named(table, name, kind):
    value, allowed = WRONG_TYPES[kind]
    values = {"base": "b"}
    (values.setdefault(table, {}) if table else values)[name] = value
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(values)
    assert str(caught.value) == f"{f'{table}.{name}'.removeprefix('.')} is {value!r}; allowed: {allowed}"


def test_every_field_can_be_checked():
    """A field of a type that the reader does not know would be an error for every value."""
    known = len(FIELDS) + len(TABLES)
    assert known == sum(len(fields(cls)) for cls in (Recipe, *TABLES.values()))


NUMBERS = [
    (table, f.name)
    for table in ("objective", "distil", "train")
    for f in fields(TABLES[table])
    if str(f.type) in ("int", "float")
]


@pytest.mark.parametrize(("table", "name"), NUMBERS)
def test_negative_numbers_are_refused(table, name):
    with pytest.raises(InputError, match=rf"^{table}\.{name} is -1; allowed: (0|1|0.001) (or more|to below (1|0.5))"):
        Recipe.from_dict({"base": "b", table: {name: -1}})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("seed = 1", "base is missing"),
        ('base = " "', "base is ' '; allowed: a folder"),
        ('base = "b"\nseed = -1', "seed is -1; allowed: 0 to"),
        ('base = "b"\ntrain = 3', "train is 3; allowed: a table"),
        ('base = "b"\n[train]\nepochs = 0', "train.epochs is 0; allowed: 1 or more"),
        ('base = "b"\n[train]\nlearning_rate = nan', "train.learning_rate is nan; allowed: 0 or more"),
        ('base = "b"\n[train]\nclip = inf', "train.clip is inf; allowed: 0 or more, finite"),
        ('base = "b"\n[train]\nwarmup = 1.0', "train.warmup is 1.0; allowed: 0 to below 1"),
        ('base = "b"\n[train]\ndropout = 1.5', "train.dropout is 1.5; allowed: 0 to below 1"),
        ('base = "b"\n[data]\naxioms = ["beauty"]', "data.axioms holds 'beauty'; allowed: usefulness"),
        ('base = "b"\n[data]\nheldout = 0', "data.heldout is 0; allowed: 1 or more"),
        ('base = "b"\n[data]\nthreads = ["/a.jsonl"]', "data.threads holds '/a.jsonl'; allowed: names and globs"),
        ('base = "b"\n[data]\nexclude = [""]', "data.exclude holds ''; allowed: names and globs"),
        ('base = "b"\n[data]\nthreads = ["."]', "data.threads holds '.'; allowed: names and globs"),
        ('base = "b"\n[data]\npairs = ["../x.jsonl"]', "data.pairs holds '../x.jsonl'; allowed: names and globs"),
        ('base = "b"\n[data]\nlabels = ["a/../../x"]', "data.labels holds 'a/../../x'; allowed: names and globs"),
        ('base = "b"\n[data]\nlabels = ["x\\u0000"]', "data.labels holds 'x\\x00'; allowed: names and globs"),
        (
            'base = "b"\n[data]\nthreads = ["t**.jsonl"]',
            "data.threads holds 't**.jsonl'; allowed: ** for folders",
        ),
        (f'base = "b"\n[train]\nclip = {10**400}', "allowed: 0 or more, finite"),
        ('base = "b"\n[data.limits]\nrelevence = 3', "data.limits holds 'relevence'; allowed: AXIOM, AXIOM/SOURCE"),
        ('base = "b"\n[data.limits]\nrelevance = -3', "data.limits.relevance is -3; allowed: 0 or more"),
        ('base = "b"\n[encoding]\nmax_tokens = 3', "max_tokens is 3; allowed: 16 to"),
        ('base = "b"\n[train]\nprecision = "fp8"', "train.precision is 'fp8'; allowed: auto, bfloat16, float32"),
        ('base = "b"\n[train]\nkeep = "all"', "train.keep is 'all'; allowed: best, last"),
        ('base = "b"\n[objective]\nloss = "mse"', "objective.loss is 'mse'; allowed: bradley-terry, hinge"),
        ('base = "b"\n[objective.margins]\nhuman = -1', "objective.margins.human is -1; allowed: 0 or more"),
        (
            'base = "b"\n[objective.weights]\nhuman = "x"',
            "objective.weights is {'human': 'x'}; allowed: a table of num",
        ),
        ('base = "b"\n[distil]\nteachers = ["t"]', "distil has teachers or threads alone; allowed: both, or neither"),
        ('base = "b"\n[distil]\nthreads = ["/t"]', "distil.threads holds '/t'; allowed: names and globs inside"),
        ("base = ", "Invalid value (at end of document)"),
    ],
)
def test_an_error_names_file_key_value_and_what_is_allowed(tmp_path, toml, message):
    path = tmp_path / "recipe.toml"
    path.write_text(toml)
    with pytest.raises(FileFormatError) as caught:
        Recipe.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limits_may_name_the_axioms_of_ready_pairs():
    table = {"pairs": ["ready.jsonl"], "limits": {"judge/gpt": 3}}
    assert Recipe.from_dict({"base": "b", "data": table}).data.limits == {"judge/gpt": 3}


def test_a_missing_recipe_is_told(tmp_path):
    with pytest.raises(PrefModelError, match=r"nowhere\.toml: no recipe: No such file"):
        Recipe.read(tmp_path / "nowhere.toml")
