"""The axioms that ask a language model, with a server whose answers are decided by the prompt."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from random import Random

import click
import pytest
from click.testing import CliRunner

from axioms.llm.client import LLM, LLMOptions
from axioms.llm.failures import BudgetSpent
from axioms.llm.options import llm_options, open_llm
from axioms.llm.prompt import load_prompt
from axioms.llm.registry import LLM_AXIOMS
from axioms.text import passage_sentences, sentences
from prefmodel.errors import InputError
from prefmodel.types import PreferencePair, Thread
from tests.fake_llm import MODEL, FakeLLM, fake_llm
from tests.scripted_llm import UNKNOWN, scripted, some_threads
from tests.threads import ask, library

PRINCIPLES = {
    "llm_groundedness": "groundedness",
    "llm_relevant_grounding": "groundedness",
    "llm_truthfulness": "truthfulness",
    "llm_thoroughness": "thoroughness",
}


@pytest.fixture
def fake():
    with fake_llm(answer=scripted) as server:
        yield server


@pytest.fixture
def options(fake: FakeLLM, tmp_path: Path) -> LLMOptions:
    return LLMOptions(fake.url, MODEL, tmp_path / "answers.sqlite3", concurrency=4, retries=0)


@pytest.fixture
def llm(options: LLMOptions):
    with open_llm(options) as opened:
        yield opened


def build(name: str, llm: LLM, threads: list[Thread] | None = None, seed: int = 0) -> list[PreferencePair]:
    return list(LLM_AXIOMS[name](some_threads() if threads is None else threads, Random(seed), llm))


def test_the_registry():
    assert list(LLM_AXIOMS) == list(PRINCIPLES)


# Sides


def test_groundedness(llm):
    threads = some_threads()
    pairs = build("llm_groundedness", llm, threads)
    assert [p.thread_id for p in pairs] == [t.id for t in threads]
    for pair, thread in zip(pairs, threads, strict=True):
        assert set(sentences(pair.chosen)) <= set(passage_sentences(thread.passages))
        assert pair.rejected == UNKNOWN
        assert pair.provenance["support"][0] == 1.0
        assert pair.provenance["recipe"] == "open_over_closed_book"


def test_relevant_grounding(llm):
    threads = {t.id: t for t in some_threads()}
    pairs = build("llm_relevant_grounding", llm)
    assert len(pairs) >= 5  # the made-up evidence of two threads may be too much alike
    for pair in pairs:
        other = threads[pair.provenance["negative_of"]]
        assert other.id != pair.thread_id
        assert set(sentences(pair.chosen)) <= set(passage_sentences(threads[pair.thread_id].passages))
        assert set(sentences(pair.rejected)) <= set(passage_sentences(other.passages))


def test_truthfulness(llm):
    threads = some_threads()
    pairs = build("llm_truthfulness", llm, threads)
    assert len(pairs) == 6
    for pair, thread in zip(pairs, threads, strict=True):
        assert pair.chosen == thread.answers[0].text
        true, false = sentences(pair.chosen), sentences(pair.rejected)
        assert sum(t != f for t, f in zip(true, false, strict=True)) == 2
        assert pair.provenance["lies"] == ["zebras"]
        assert "zebras" in pair.rejected
        assert "zebras" not in pair.chosen


def test_thoroughness(llm):
    threads = {t.id: t for t in some_threads()}
    pairs = build("llm_thoroughness", llm)
    recipes = [pair.provenance["recipe"] for pair in pairs]
    assert recipes == ["both_over_first", "both_over_second"] * 6
    for pair in pairs:
        first, second = (a.text for a in threads[pair.thread_id].answers[:2])
        assert pair.chosen == f"{first} {second}"
        assert pair.rejected == (first if pair.provenance["recipe"] == "both_over_first" else second)


# The record


@pytest.mark.parametrize("name", LLM_AXIOMS)
def test_provenance(name, llm, options):
    pairs = build(name, llm)
    assert pairs
    for pair in pairs:
        assert (pair.axiom, pair.principle, pair.source) == (name, PRINCIPLES[name], "demo")
        record = pair.provenance
        assert record["model"] == MODEL
        assert record["tokens"] > 10
        assert record["recipe"]
        for prompt, used in record["prompts"].items():
            data = (files("axioms") / "llm" / "prompts" / f"{prompt}.txt").read_bytes()
            assert used["sha256"] == sha256(data).hexdigest()
            assert set(used) == {"sha256", "temperature", "top_p", "max_tokens", "seed"}
        row = json.dumps(pair.to_dict())
        assert PreferencePair.from_dict(json.loads(row)) == pair
        assert "127.0.0.1" not in row  # nobody learns which machine it was


def test_prompts_of_an_axiom_are_recorded(llm):
    used = [set(build(name, llm)[0].provenance["prompts"]) for name in LLM_AXIOMS]
    assert used[:2] == [{"open_book", "closed_book"}, {"open_book"}]
    assert used[2:] == [{"false_fact", "from_outline"}, {"from_outline"}]


# The same pairs again


@pytest.mark.parametrize("name", LLM_AXIOMS)
def test_a_rerun_asks_nothing_and_builds_the_same(name, fake, options):
    with LLM(options) as llm:
        first = build(name, llm)
    asked = len(fake.bodies)
    serial = LLMOptions(options.url, MODEL, options.cache, concurrency=1, budget=0)
    with LLM(serial) as llm:
        assert build(name, llm) == first
    assert len(fake.bodies) == asked


def test_axioms_share_answers(fake, llm):
    build("llm_groundedness", llm)
    before = len(fake.bodies)
    build("llm_relevant_grounding", llm)
    assert len(fake.bodies) == before + 6  # those with P- only


def test_what_the_budget_bought_is_built(fake, options):
    small = LLMOptions(options.url, MODEL, options.cache, concurrency=1, budget=300)
    found: list[PreferencePair] = []
    with LLM(small) as llm, pytest.raises(BudgetSpent, match="--llm-budget is 300"):
        found.extend(LLM_AXIOMS["llm_groundedness"](some_threads(40), Random(0), llm))  # extend keeps what came
    assert 1 < len(found) < 40
    before = len(fake.bodies)
    with LLM(options) as llm:
        whole = build("llm_groundedness", llm, some_threads(40))
    assert len(whole) == 40
    assert whole[: len(found)] == found
    assert before + len(fake.bodies[before:]) == 80


# What makes no pair


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("As an AI language model, I have no opinion on lighthouses or on anything else.", "refused"),
        ("I cannot help with this question, for it is about something that I do not know.", "refused"),
        ("I'm sorry, but there is nothing in the facts.", "refused"),
        ("", "empty"),
        ("  \n", "empty"),
        ("Answer:", "empty"),
        ("The same eight words for both of them, always.", "not grounded"),
    ],
)
def test_answers_that_make_no_pair(fake, llm, answer, reason):
    fake.answer = lambda text: answer
    assert build("llm_groundedness", llm) == []
    assert llm.skipped == {("llm_groundedness", reason): 6}


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        ("Who can say?", "too short or too long"),
        ("It is a long story of its own. " * 20, "repeats itself"),
        (" ".join(f"stone{i}" for i in range(200)), "unlike lengths"),
        (" ".join(f"stone{i}" for i in range(400)), "too short or too long"),
    ],
)
def test_sides_that_make_no_pair(fake, llm, closed, reason):
    fake.answer = lambda text: scripted(text) if "Facts:" in text else closed
    assert build("llm_groundedness", llm) == []
    assert llm.skipped == {("llm_groundedness", reason): 6}


def test_an_answer_that_is_cut_loses_its_broken_sentence(fake, llm):
    fake.finish = "length"
    fake.answer = lambda text: scripted(text) + " And then it was said that"
    for pair in build("llm_groundedness", llm):
        assert pair.chosen.endswith(".")
        assert pair.rejected == UNKNOWN
    assert not llm.skipped


def test_an_answer_that_is_cut_before_its_first_end(fake, llm):
    fake.finish, fake.answer = "length", lambda text: "It goes on and on and"
    assert build("llm_groundedness", llm) == []
    assert llm.skipped == {("llm_groundedness", "cut short"): 6}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (lambda fact: fact, "nothing made false"),
        (lambda fact: fact[:-1] + ", they say, near seventeen windmills.", "nothing made false"),
        (lambda fact: "Something else is told about quite another thing.", "nothing made false"),
        (lambda fact: re.sub(r" (\w+)\.$", " not zebras.", fact), "nothing made false"),
    ],
)
def test_facts_that_are_not_made_false(fake, llm, told, reason):
    fake.answer = lambda text: told(text.partition("false: ")[2]) if "Change one" in text else scripted(text)
    assert build("llm_truthfulness", llm) == []
    assert llm.skipped == {("llm_truthfulness", reason): 6}


def test_a_lie_that_the_answer_leaves_out(fake, llm):
    fake.answer = lambda text: re.sub("zebras", "it", scripted(text)) if "with these" in text else scripted(text)
    assert build("llm_truthfulness", llm) == []
    assert llm.skipped == {("llm_truthfulness", "not made wrong"): 6}


@pytest.mark.parametrize("name", ["llm_truthfulness", "llm_thoroughness"])
def test_a_text_that_says_something_else_than_its_outline(name, fake, llm):
    invented = " ".join(f"submarine{i}" for i in range(90)) + ". "
    fake.answer = lambda text: (invented if "with these" in text else "") + scripted(text)
    assert build(name, llm) == []
    assert {reason for _, reason in llm.skipped} == {"not from the outline"}


def test_an_answer_that_the_model_knows_without_evidence(fake, llm):
    [thread] = some_threads(1)
    known = sentences(thread.passages[0])[0]
    fake.answer = lambda text: known
    assert build("llm_groundedness", llm, [thread]) == []
    assert llm.skipped == {("llm_groundedness", "not grounded better"): 1}


def test_an_answer_that_makes_more_up_than_its_evidence_says(fake, llm):
    invented = " Submarines patrol underneath Antarctica every Wednesday, while penguins gladly watch whales."
    fake.answer = lambda text: scripted(text) + (invented if "Facts:" in text else "")
    assert build("llm_groundedness", llm) == []
    assert llm.skipped == {("llm_groundedness", "not grounded"): 6}


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("llm_truthfulness", ["Who asks about coffee, and what for? " * 2 + " and ".join(["water"] * 31) + "."]),
        ("llm_thoroughness", ["Water " * 31 + ". ", "Is tea from Kenya, or is it from Japan, or from both? " * 2]),
    ],
)
def test_answers_without_facts(name, answers, fake, llm):
    assert build(name, llm, [ask(0, "What of it?", *answers)]) == []
    assert {reason for _, reason in llm.skipped} == {"too few facts"}
    assert not fake.bodies


def test_a_combination_that_combines_nothing(fake, llm):
    def lazy(text: str) -> str:
        return " ".join(sentences(scripted(text))[:3]) if "with these" in text else scripted(text)

    fake.answer = lazy
    assert build("llm_thoroughness", llm) == []  # the combination is the first answer
    assert llm.skipped == {("llm_thoroughness", "not more thorough"): 12}


@pytest.mark.parametrize("name", LLM_AXIOMS)
def test_threads_without_what_it_takes(name, fake, llm):
    bare = [ask(0, "Why?"), ask(1, "", "Because."), ask(2, "How?", "So.", passages=("Heading",))]
    assert build(name, llm, bare) == []
    assert not fake.bodies


def test_text_that_looks_like_a_prompt_is_text(fake, llm):
    odd = "### user\nWhy {evidence} \ud800 coffee?"
    [thread] = library(1)
    build("llm_groundedness", llm, [ask(0, odd, passages=thread.passages)])
    for body in fake.bodies:
        assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
        assert "Why {evidence} ? coffee?" in body["messages"][-1]["content"]


def test_a_prompt_says_what_it_needs():
    with pytest.raises(InputError, match=r"the prompt 'closed_book' is given \['text'\]; allowed: \['question'\]"):
        load_prompt("closed_book").fill(text="Why?")


# Options


@click.command()
@click.option("--seed", default=0)
@llm_options
def command(seed: int, llm: LLMOptions | None) -> None:
    click.echo(f"{seed} {llm}")


def test_no_language_model():
    assert CliRunner().invoke(command, ["--seed", "3"]).stdout == "3 None\n"


def test_a_language_model(tmp_path):
    typed = ["--llm-url", "http://127.0.0.1:1/v1", "--llm-model", "m", "--llm-cache", str(tmp_path / "c")]
    typed += ["--llm-concurrency", "3", "--llm-budget", "1000", "--llm-key-env", "MINE"]
    wanted = LLMOptions("http://127.0.0.1:1/v1", "m", tmp_path / "c", 3, 1000, "MINE")
    assert CliRunner().invoke(command, typed, catch_exceptions=False).stdout == f"0 {wanted}\n"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--llm-model", "m"], "--llm-model is given without --llm-url"),
        (["--llm-budget", "0"], "--llm-budget is given without --llm-url"),
        (["--llm-url", "http://127.0.0.1:1/v1"], "--llm-model is missing"),
        (["--llm-url", "127.0.0.1", "--llm-model", "m"], "--llm-url is '127.0.0.1'; allowed"),
    ],
)
def test_options_that_do_not_fit(typed, message):
    error = CliRunner().invoke(command, typed).exception
    assert isinstance(error, InputError)
    assert message in str(error)


def test_help_is_quick_to_load():
    shown = CliRunner().invoke(command, ["--help"]).stdout
    for option in ("url", "model", "cache", "concurrency", "budget", "key-env"):
        assert f"--llm-{option}" in shown
