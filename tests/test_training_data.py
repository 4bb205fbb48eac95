"""The pairs of a run: which are kept apart, which are left out, and what the report says of them."""

import math
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import sha256, write_pairs, write_threads
from prefmodel.overlap import QuestionIndex
from prefmodel.splits import split_of
from prefmodel.types import CONTRIBUTIONS, Message, PreferencePair
from tests.small_base import word_tokenizer
from tests.small_run import NOISE, forum, labels
from training.config import DataConfig, ObjectiveConfig
from training.data import TEACHER_MARGIN, check_axioms, check_margins, encode, load

CONFIG = {"labels": ("labels.jsonl",), "axioms": ("human",)}


def read(folder, seed=0, **settings):
    return load(DataConfig(**{**CONFIG, **settings}), folder, seed, lambda text: None)


def pair(question, source="demo", **fields):
    sides = {"chosen": "A careful word1.", "rejected": "A rude word2."}
    return PreferencePair(question, **{**sides, "axiom": "human", "source": source, **fields})


def of_split(name, rng, words=9):
    """Return a question of a split."""
    return next(q for q in iter(lambda: " ".join(rng.sample(NOISE, words)), None) if split_of(q) == name)


def near(question, split):
    """Return a question that nearly repeats another one but belongs to `split`."""
    return next(q for q in (f"{i} thanks! {question}" for i in range(1000)) if split_of(q) == split)


def with_system(pair, system):
    return replace(pair, question=(system, Message("user", pair.question)))


def questions(pairs):
    return {p.question for p in pairs}


@pytest.fixture
def folder(tmp_path):
    write_pairs(tmp_path / "labels.jsonl", labels(Random(0), 300))
    return tmp_path


def test_the_hash_of_the_question_decides(folder):
    run = read(folder)
    for name, part in (("train", run.train), ("dev", run.dev), ("test", run.test)):
        assert part
        assert {split_of(p.question) for p in part} == {name}
    assert len(run.train) + len(run.dev) + len(run.test) == 300


@pytest.mark.parametrize("split", ["dev", "test"])
def test_no_training_question_is_nearly_a_heldout_one(folder, split):
    rng = Random(1)
    heldout = [of_split(split, rng) for _ in range(3)]
    twins = [near(question, "train") for question in heldout]
    unlike = of_split("train", rng)
    write_pairs(folder / "more.jsonl", [pair(q) for q in (*heldout, *twins, unlike)])
    run = read(folder, labels=("labels.jsonl", "more.jsonl"))
    assert set(heldout) <= questions(run.dev if split == "dev" else run.test)
    assert unlike in questions(run.train)
    assert questions(run.train).isdisjoint(twins)
    assert run.report["left_out"]["question near a held-out one"] == 3
    index = QuestionIndex(questions(run.dev) | questions(run.test))
    assert [p for p in run.train if index.match(p.question)] == []


@pytest.mark.parametrize("kind", ["labels", "pairs", "threads"])
def test_excluded_questions_are_nowhere(folder, kind):
    rng = Random(2)
    asked = [of_split(name, rng) for name in ("train", "dev", "test") for _ in range(2)]
    write_pairs(folder / "eval.jsonl", [pair(question) for question in asked])
    twins = [near(q, name) for q, name in zip(asked, ("train", "dev", "test") * 2, strict=True)]
    if kind == "threads":
        threads = forum(rng, 1)[0]
        changed = [type(threads)(f"x/{i}", "x", q, threads.answers) for i, q in enumerate((*asked, *twins))]
        write_threads(folder / "more.jsonl", changed)
        settings = {"threads": ("more.jsonl",), "axioms": ("human", "usefulness")}
    else:
        write_pairs(folder / "more.jsonl", [pair(question) for question in (*asked, *twins)])
        settings = {kind: ("more.jsonl",)} if kind == "pairs" else {"labels": ("labels.jsonl", "more.jsonl")}
    everything = {*asked, *twins}
    without = read(folder, **settings)
    assert everything & (questions(without.train) | questions(without.dev) | questions(without.test))
    run = read(folder, exclude=("eval.jsonl",), **settings)
    assert not everything & (questions(run.train) | questions(run.dev) | questions(run.test))
    assert sum(run.report["left_out"]["question or text of an excluded file"].values()) == 12
    assert run.report["excluded_files"] == ["eval.jsonl"]


def test_limits_count_by_axiom_and_by_source(folder):
    rng = Random(3)
    write_pairs(folder / "more.jsonl", [pair(of_split("train", rng), "other") for _ in range(40)])
    write_threads(folder / "threads.jsonl", forum(rng, 60))
    settings = {"labels": ("labels.jsonl", "more.jsonl"), "threads": ("threads.jsonl",), "heldout": 4}
    settings["axioms"] = ("human", "usefulness")
    free = read(folder, **settings)
    assert Counter(p.source for p in free.train if p.axiom == "human")["other"] == 40
    run = read(folder, **settings, limits={"human": 100, "human/other": 15, "usefulness": 20})
    assert Counter(p.axiom for p in run.train) == {"human": 100, "usefulness": 20} == run.report["pairs"]["train"]
    assert Counter(p.source for p in run.train if p.axiom == "human")["other"] <= 15
    only = read(folder, **settings, limits={"human/other": 15})
    assert Counter(p.source for p in only.train if p.axiom == "human")["other"] == 15
    assert only.report["left_out"]["over a limit"] == 25
    for part in (run.dev, run.test):
        assert Counter(p.axiom for p in part)["human"] == 4


def test_a_limit_may_be_of_a_recipe(folder):
    rng = Random(3)
    made = [pair(of_split("train", rng), provenance={"recipe": f"way{i % 2}"}) for i in range(40)]
    write_pairs(folder / "more.jsonl", made)
    run = read(folder, pairs=("more.jsonl",), labels=(), limits={"human:way1": 7})
    assert Counter(p.provenance["recipe"] for p in run.train) == {"way0": 20, "way1": 7}


@pytest.mark.parametrize("limit", ["human/othr", "human:wya", "judge"])
def test_a_limit_of_what_there_is_none_of_is_refused(folder, limit):
    made = [pair(of_split("train", Random(3)), "other", provenance={"recipe": "way"})]
    write_pairs(folder / "more.jsonl", made)
    with pytest.raises(InputError) as error:
        read(folder, pairs=("more.jsonl",), limits={limit: 7, "usefulness": 5})
    allowed = "allowed: human, human/demo, human/other, human:way"
    assert str(error.value) == f"data.limits holds '{limit}', of which there are no pairs; {allowed}"


def test_an_objective_may_name_axioms_of_ours_and_of_ready_pairs(folder):
    write_pairs(folder / "more.jsonl", [pair(of_split("dev", Random(3)), axiom="judge")])
    run = read(folder, pairs=("more.jsonl",))
    named = {"human": 2.0, "judge": 0.5, "strength": 0.5, "distilled": 1.0}  # the last two are none of these pairs'
    check_axioms(ObjectiveConfig(weights=named, margins=named), run)
    with pytest.raises(InputError, match=r"holds 'judged ', of which there are no pairs; allowed: human, judge$"):
        check_axioms(ObjectiveConfig(margins={"judged ": 1.0}), run)


def test_a_hinge_needs_margins():
    goal = ObjectiveConfig(loss="hinge", margins={"judge": 0.5}, weights={"verified": 0.0})
    of = {"own": {"margin": 0.5}, "judge": {}, "invariance": {"target": 0.5}, "verified": {}}
    pairs = [pair("Why?", axiom=axiom, **fields) for axiom, fields in of.items()]
    check_margins(goal, pairs)  # one has its own, one the objective's, one costs |d|, one nothing
    bare = [pair("Why?"), pair("Why?", axiom="distilled", target=0.7)]
    check_margins(ObjectiveConfig(), bare)
    with pytest.raises(InputError, match=r"there are pairs without margin of distilled, human; allowed: "):
        check_margins(goal, [*pairs, *bare])


def test_without_pairs_no_limit_is_blamed(folder):
    write_pairs(folder / "none.jsonl", [])
    with pytest.raises(InputError, match="no training pairs are left of 0 built"):
        read(folder, labels=(), pairs=("none.jsonl",), limits={"human/other": 7})


def test_pairs_of_a_question_are_capped(folder):
    few = [pair(of_split("train", Random(3)), chosen=f"good {i}") for i in range(12)]
    write_pairs(folder / "more.jsonl", few)
    for settings, most in (({}, 8), ({"per_question": 3}, 3)):
        run = read(folder, labels=("labels.jsonl", "more.jsonl"), **settings)
        assert Counter(p.question for p in run.train)[few[0].question] == most


def test_a_message_of_the_system_does_not_decide_the_split(folder):
    system = Message("system", "You are a helpful, respectful and honest assistant, and you answer in one sentence.")
    plain = read(folder)
    write_pairs(folder / "labels.jsonl", [with_system(p, system) for p in labels(Random(0), 300)])
    write_pairs(folder / "eval.jsonl", [with_system(pair("Who wrote Faust, and when was it printed?"), system)])
    run = read(folder, exclude=("eval.jsonl",))
    for name in ("train", "dev", "test"):
        asked = {p.question[1].content for p in getattr(run, name)}
        assert asked == questions(getattr(plain, name))


@pytest.mark.parametrize("there", ["dev", "test"])
def test_a_split_without_pairs_is_told(folder, there):
    other = {"dev": "test", "test": "dev"}[there]
    write_pairs(folder / "labels.jsonl", [pair(of_split(name, Random(6))) for name in ("train", there)])
    told = []
    load(DataConfig(**CONFIG), folder, 0, told.append)
    assert [text.split(":")[0] for text in told if "no pairs" in text] == [f"no pairs are left for {other}"]


def test_the_seed_alone_decides_the_order(folder):
    first, again, other = read(folder, 0), read(folder, 0), read(folder, 1)
    assert first.train == again.train
    assert first.train != other.train
    assert questions(first.train) == questions(other.train)


def test_ready_pairs_are_taken_as_they_are(folder):
    ready = pair(of_split("train", Random(4)), axiom="judge", principle="relevance", margin=0.5, target=0.9)
    same = pair(of_split("train", Random(5)), chosen="the  same", rejected="the same")
    write_pairs(folder / "ready.jsonl", [ready, same])
    run = read(folder, pairs=("ready.jsonl",))
    assert ready in run.train
    assert same not in run.train
    assert run.report["left_out"]["sides equal up to spaces"] == {"human": 1}


def test_what_an_axiom_built_is_no_label(folder):
    built = pair(of_split("train", Random(4)), axiom="relevance", principle="relevance")
    write_pairs(folder / "built.jsonl", [pair("Why?"), built])
    told = r"built\.jsonl, line 2: axiom of a label is 'relevance'; allowed: .* data\.pairs of a recipe"
    with pytest.raises(FileFormatError, match=told):
        read(folder, labels=("labels.jsonl", "built.jsonl"))
    write_pairs(folder / "eval.jsonl", [built])
    assert built not in read(folder, pairs=("built.jsonl",), exclude=("eval.jsonl",)).train
    assert built in read(folder, pairs=("built.jsonl",)).train


def test_the_report_describes_each_file_once(folder):
    run = read(folder, labels=("*.jsonl", "labels.jsonl"), licences={"labels*": "CC0", "*": "other"})
    digest = sha256(folder / "labels.jsonl")
    assert run.report["files"] == [{"file": "labels.jsonl", "sha256": digest, "licence": "CC0"}]


@pytest.mark.parametrize("name", ["threads", "labels", "pairs", "exclude"])
def test_a_missing_file_is_told(folder, name):
    with pytest.raises(FileFormatError, match=r"nothing-\*\.jsonl: no such file"):
        read(folder, **{name: ("nothing-*.jsonl",)})


def test_pairs_that_are_all_excluded_are_told(folder):
    write_pairs(folder / "eval.jsonl", labels(Random(0), 300))
    told = "no training pairs are left of 0 built, and data.exclude left out 300 more; look at .* and data.exclude"
    with pytest.raises(InputError, match=told):
        read(folder, exclude=("eval.jsonl",))


def test_no_pairs_are_told(folder):
    with pytest.raises(InputError, match="no training pairs are left of 300 built"):
        read(folder, limits={"human": 0})


@pytest.fixture
def encoder():
    config = EncodingConfig(max_tokens=32, question_tokens=12)
    return PairEncoder(word_tokenizer([" ".join((*NOISE, "why careful rude a"))]), config)


def test_pairs_that_truncation_makes_equal_are_dropped_and_counted(encoder):
    long = " ".join(NOISE[:40])
    middle, end = long.replace("word20", "rude"), long.replace("word39", "rude")
    pairs = [pair("Why?", chosen=long, rejected=other) for other in (middle, end)]
    encoded, equal = encode(pairs, encoder, ObjectiveConfig())
    assert equal == 1
    assert [e.rejected for e in encoded] == [encoder.encode("Why?", end)]


def test_an_encoded_pair_keeps_what_the_loss_needs(encoder):
    pairs = [pair("Why?", principle="truthfulness", margin=0.5, target=0.9), pair("Why?")]
    (first, second), equal = encode(pairs, encoder, ObjectiveConfig())
    assert equal == 0
    assert (CONTRIBUTIONS[first.head], first.margin, first.target) == ("truthfulness", 0.5, 0.9)
    assert (CONTRIBUTIONS[second.head], second.margin, second.target) == ("general", 0.0, 1.0)
    assert first.chosen == encoder.encode("Why?", "A careful word1.")
    assert math.isnan(first.taught)
    assert math.isnan(first.difficulty)
    assert first.question == second.question


def test_a_recipe_sets_margins_and_weights_of_an_axiom(encoder):
    pairs = [pair("Why?", margin=0.5), replace(pair("How?", margin=0.5), axiom="usefulness")]
    goal = ObjectiveConfig(margin_scale=2.0, margins={"usefulness": 3.0}, weights={"usefulness": 0.25})
    (first, second), _ = encode(pairs, encoder, goal)
    assert (first.margin, first.weight, second.margin, second.weight) == (1.0, 1.0, 6.0, 0.25)
    assert first.question != second.question


def test_what_provenance_tells_is_kept(encoder):
    told = {"difficulty": 0.25, TEACHER_MARGIN: -1.5}
    pairs = [replace(pair("Why?"), provenance=facts) for facts in (told, {"difficulty": 10**400})]
    (found, other), _ = encode(pairs, encoder, ObjectiveConfig())
    assert math.isnan(other.difficulty)
    assert (found.difficulty, found.taught) == (0.25, -1.5)
    assert found.log_ratio == pytest.approx(math.log((len("A careful word1.") + 1) / (len(pair("Why?").rejected) + 1)))
