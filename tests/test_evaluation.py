"""Accuracies, their intervals, and the baselines on the evaluation files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefmodel.baselines import bm25, longer
from prefmodel.errors import InputError
from prefmodel.evaluation import (
    Estimate,
    FileResult,
    clustered_interval,
    correctness,
    evaluate_pairs,
    length_matched,
    pairwise_accuracy,
    pool,
)
from prefmodel.files import read_pairs
from prefmodel.intervals import bootstrap
from prefmodel.types import Message, PreferencePair

EVAL = Path(__file__).parents[2] / "shared" / "data" / "eval"

MARGINS = st.lists(st.floats(-5, 5), min_size=1, max_size=40)
CORRECT = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=40)
PAIR = st.builds(
    PreferencePair,
    question=st.sampled_from(["Why?", "How so?", "What is it?", "Who?"]),
    chosen=st.text("ab", min_size=1, max_size=12),
    rejected=st.text("ab", min_size=1, max_size=12),
    axiom=st.sampled_from(["human", "votes"]),
    source=st.just("demo"),
    target=st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.0]),
    provenance=st.sampled_from([{}, {"gpt4": 1.0}, {"gpt4": 0.0}]),
)
PAIRS = st.lists(PAIR, min_size=1, max_size=25).filter(lambda pairs: any(p.target > 0.5 for p in pairs))


def shorter(questions, answers):
    return -longer(questions, answers)


def a_pair(question="Why?", chosen="Because of it.", rejected="No.", axiom="human", **more):
    return PreferencePair(question, chosen, rejected, axiom=axiom, source="demo", **more)


def summary(result: FileResult) -> str:
    """Return what a result says, without the arrays, which follow the order of the pairs; as text, where NaN is NaN."""
    return repr(result)


@given(margins=MARGINS)
def test_accuracy_and_its_opposite_sum_to_one(margins):
    assert pairwise_accuracy(margins) + pairwise_accuracy(-np.array(margins)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("margins", "accuracy"), [([1, 2, -3], 2 / 3), ([0], 0.5), ([0, 0, 1, -1], 0.5), ([1e-30], 1.0), ([math.inf], 1.0)]
)
def test_accuracy_by_hand(margins, accuracy):
    assert pairwise_accuracy(margins) == pytest.approx(accuracy)


@pytest.mark.parametrize(("margins", "text"), [([], "empty"), ([1.0, math.nan], "NaN at 1")])
def test_accuracy_refuses_what_is_no_number(margins, text):
    with pytest.raises(InputError, match=text):
        pairwise_accuracy(margins)


@given(correct=CORRECT, clusters=st.data())
def test_the_interval_does_not_depend_on_order_and_is_in_range(correct, clusters):
    labels = clusters.draw(st.lists(st.integers(0, 6), min_size=len(correct), max_size=len(correct)))
    order = clusters.draw(st.permutations(range(len(correct))))
    low, high = clustered_interval(correct, labels, samples=200)
    moved = clustered_interval([correct[i] for i in order], [labels[i] for i in order], samples=200)
    np.testing.assert_equal(moved, (low, high))
    if len(set(labels)) > 1:
        assert min(correct) <= low <= high <= max(correct)


@given(correct=CORRECT, data=st.data())
def test_doubling_each_pair_within_its_cluster_changes_nothing(correct, data):
    labels = data.draw(st.lists(st.integers(0, 6), min_size=len(correct), max_size=len(correct)))
    once = clustered_interval(correct, labels, samples=200)
    np.testing.assert_equal(clustered_interval(correct * 2, labels * 2, samples=200), once)


def test_the_interval_contains_the_estimate_in_nearly_all_cases():
    random = np.random.default_rng(1)
    inside = []
    for seed in range(100):
        correct, clusters = random.random(120) < 0.7, random.integers(0, 30, 120)
        low, high = clustered_interval(correct, clusters, seed, samples=400)
        inside.append(low <= correct.mean() <= high)
    assert sum(inside) == 100


def test_the_interval_widens_when_fewer_questions_hold_the_same_pairs():
    # Each question is either easy or hard, so that its pairs say the same.
    widths = []
    for questions in (200, 50, 10):
        clusters = np.arange(1000) % questions
        low, high = clustered_interval(clusters % 5 > 1, clusters)
        widths.append(high - low)
    assert widths == sorted(widths)
    assert widths[2] > 2 * widths[1] > 2 * widths[0]


def test_one_cluster_each_gives_the_binomial_interval():
    correct = np.arange(400) < 280
    low, high = clustered_interval(correct, np.arange(400))
    half = 1.96 * math.sqrt(0.7 * 0.3 / 400)
    assert (low, high) == pytest.approx((0.7 - half, 0.7 + half), abs=0.006)


def test_one_question_says_nothing_of_others():
    assert np.isnan(clustered_interval([1, 0, 1], [7, 7, 7])).all()
    assert np.isnan(clustered_interval([], [])).all()


def test_95_of_100_intervals_hold_the_truth():
    # Questions differ in difficulty (beta) and in size, as in the evaluation files.
    random = np.random.default_rng(0)
    truth, held = 0.65, 0
    for seed in range(300):
        sizes = random.integers(1, 12, 80)
        clusters = np.repeat(np.arange(80), sizes)
        correct = random.random(len(clusters)) < np.repeat(random.beta(3.25, 1.75, 80), sizes)
        low, high = clustered_interval(correct, clusters, seed, samples=400)
        held += low <= truth <= high
    assert 0.91 <= held / 300 <= 0.98


def test_an_interval_over_single_pairs_would_be_too_narrow():
    clusters = np.repeat(np.arange(40), 10)
    correct = np.repeat(np.arange(40) % 2, 10)
    by_question, by_pair = (clustered_interval(correct, c) for c in (clusters, np.arange(400)))
    assert by_question[1] - by_question[0] > 2.5 * (by_pair[1] - by_pair[0])


def test_a_resample_is_a_ratio_of_sums():
    # Two clusters, of 1 wrong and of 3 right: resamples are (0, 0), (0, 1), (1, 1) with means 0, 3/4, 1.
    means = bootstrap(np.array([[0.0, 1, 1, 1]]), np.array([0, 1, 1, 1]), samples=4000)[0]
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0.0, 0.75, 1.0]
    np.testing.assert_allclose(counts / 4000, [0.25, 0.5, 0.25], atol=0.03)


def test_many_clusters_are_resampled_in_chunks_of_the_same_draws(monkeypatch):
    values, clusters = np.random.default_rng(0).random((2, 60)), np.arange(60)
    whole = bootstrap(values, clusters, samples=100)
    monkeypatch.setattr("prefmodel.intervals._CELLS", 60 * 7)
    np.testing.assert_allclose(bootstrap(values, clusters, samples=100), whole)


@pytest.mark.parametrize(
    ("more", "text"),
    [({"level": 1.0}, "level is 1.0"), ({"samples": 0}, "samples is 0"), ({"clusters": [0]}, r"clusters \(1,\)")],
)
def test_interval_arguments_are_checked(more, text):
    with pytest.raises(InputError, match=text):
        clustered_interval(**{"correct": [1, 0], "clusters": [0, 1], **more})


@pytest.mark.parametrize(
    ("chosen", "rejected", "matched"),
    [(8, 10, True), (7, 10, False), (10, 8, True), (10, 7, False), (0, 0, True), (1, 0, False), (0, 1, False)],
)
def test_length_matched(chosen, rejected, matched):
    assert length_matched([a_pair(chosen="a" * chosen, rejected="b" * rejected)]).tolist() == [matched]


def test_a_file_by_hand():
    pairs = [
        a_pair("Why?", "abcd", "abc", provenance={"gpt4": 1.0}),  # longer is right
        a_pair("Why?", "abcd", "abcde", provenance={"gpt4": 0.0}),  # wrong, length-matched
        a_pair("How?", "abcd", "dcba"),  # tie, length-matched
        a_pair("How?", "abcdef", "a", axiom="votes", principle="usefulness"),  # right
        a_pair("Who?", "abcdef", "a", target=0.5),
        a_pair("Who?", "abcdef", "a", target=0.2),
    ]
    result = evaluate_pairs(pairs, {"longer": longer, "shorter": shorter})
    assert (result.pairs, result.questions, result.ignored) == (4, 2, 2)
    assert result.accuracy["longer"] == Estimate(0.625, 0.5, 0.75, 4)  # the two questions have .5 and .75
    assert result.accuracy["shorter"] == Estimate(0.375, 0.25, 0.5, 4)
    assert (result.matched["longer"].value, result.matched["longer"].count) == (0.25, 2)
    assert result.gpt4 is not None
    assert result.gpt4_matched is not None
    assert (result.gpt4.value, result.gpt4.count) == (0.5, 2)
    assert (result.gpt4_matched.value, result.gpt4_matched.count) == (0.0, 1)
    assert [(name, e["longer"].value) for name, e in result.by_axiom.items()] == [("human", 0.5), ("votes", 1.0)]
    assert [(n, e["longer"].count) for n, e in result.by_principle.items()] == [("general", 3), ("usefulness", 1)]


def test_one_axiom_is_not_broken_down_and_no_matched_pairs_are_none():
    result = evaluate_pairs([a_pair()], {"longer": longer})
    assert (result.by_axiom, result.by_principle, result.matched) == ({}, {}, {})
    assert (result.gpt4, result.gpt4_matched) == (None, None)


@settings(deadline=None)
@given(pairs=PAIRS, data=st.data())
def test_the_order_of_pairs_changes_nothing(pairs, data):
    scorers = {"longer": longer, "bm25": bm25}
    moved = evaluate_pairs(data.draw(st.permutations(pairs)), scorers)
    assert summary(moved) == summary(evaluate_pairs(pairs, scorers))


def test_the_order_of_many_questions_changes_nothing():
    random = np.random.default_rng(0)
    pairs = [a_pair(f"{i % 31}?", "a" * random.integers(1, 9), "b" * random.integers(1, 9)) for i in range(90)]
    results = [evaluate_pairs([pairs[i] for i in random.permutation(90)], {"longer": longer}) for _ in range(3)]
    assert len({summary(result) for result in results}) == 1
    assert len({repr(pool([result])) for result in results}) == 1


@settings(deadline=None)
@given(pairs=PAIRS)
def test_swapping_the_labels_turns_the_accuracy_around(pairs):
    swapped = [a_pair(p.question, p.rejected, p.chosen, target=p.target) for p in pairs]
    one, two = (evaluate_pairs(ps, {"longer": longer}).accuracy["longer"].value for ps in (pairs, swapped))
    assert one + two == pytest.approx(1)


def test_each_answer_is_scored_once_in_one_call():
    calls = []

    def counting(questions, answers):
        calls.append(list(zip(questions, answers, strict=True)))
        return longer(questions, answers)

    evaluate_pairs(
        [a_pair("Why?", "a", "b"), a_pair("Why?", "b", "c"), a_pair("How?", "b", "c")], {"counting": counting}
    )
    assert calls == [[("Why?", "a"), ("Why?", "b"), ("Why?", "c"), ("How?", "b"), ("How?", "c")]]


def test_dialogues_are_questions_too():
    turns = (Message("user", "Why?"), Message("assistant", "What?"), Message("user", "The sky."))
    result = evaluate_pairs([a_pair(turns), a_pair(turns, rejected="Yes."), a_pair("Why?")], {"bm25": bm25})
    assert result.questions == 2


@pytest.mark.parametrize(
    ("pairs", "scorers", "text"),
    [
        ([], {"longer": longer}, "none of 0 pairs"),
        ([a_pair(target=0.5)], {"longer": longer}, "none of 1 pairs"),
        ([a_pair()], {}, "scorers is empty"),
        ([a_pair()], {"odd": lambda q, a: np.zeros(3)}, r"'odd' returned shape \(3,\)"),
        ([a_pair()], {"odd": lambda q, a: np.full(len(a), np.nan)}, "NaN"),
        ([a_pair(provenance={"gpt4": "A"})], {"longer": longer}, "gpt4 is 'A'"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(pairs, scorers, text):
    with pytest.raises(InputError, match=text):
        evaluate_pairs(pairs, scorers)


def test_pooled_files_by_hand():
    scorers = {"longer": longer, "shorter": shorter}
    one = evaluate_pairs([a_pair(f"{i}?", "abcd", "abc") for i in range(3)] + [a_pair("9?", "abc", "abcd")], scorers)
    two = evaluate_pairs([a_pair(f"{i}?", "abcd", "abcde") for i in range(2)], scorers)
    pooled = pool([one, two])
    assert (pooled.macro["longer"].value, pooled.macro["longer"].count) == (0.375, 2)
    assert (pooled.accuracy["longer"].value, pooled.accuracy["longer"].count) == (0.5, 6)
    assert (pooled.matched["longer"].value, pooled.matched["longer"].count) == (0.0, 2)
    difference = pooled.differences["shorter"]
    assert (difference.value, list(pooled.differences)) == (-0.25, ["shorter"])
    # Only file one varies: its accuracy a makes the difference (2a - 1 - 1) / 2, twice as wide as the macro's a / 2.
    macro = pooled.macro["longer"]
    assert difference.high - difference.low == pytest.approx(2 * (macro.high - macro.low))


def test_the_same_question_in_two_files_is_two_clusters():
    results = [evaluate_pairs([a_pair("Why?")], {"longer": longer})] * 2
    pooled = pool(results)
    assert not math.isnan(pooled.accuracy["longer"].low)
    assert math.isnan(pooled.macro["longer"].low)  # within each file one question is all there is


def test_the_difference_between_equal_scorers_is_exactly_zero():
    random = np.random.default_rng(0)
    pairs = [a_pair(f"{i % 7}?", "a" * random.integers(1, 9), "b" * random.integers(1, 9)) for i in range(60)]
    twice = {"one": longer, "two": lambda q, a: 3 * longer(q, a) - 1}
    difference = pool([evaluate_pairs(pairs, twice)]).differences["two"]
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_a_paired_difference_is_narrower_than_two_intervals():
    random = np.random.default_rng(0)
    hard = random.random(300) < 0.5
    noise = random.random(300) < 0.05
    pairs = [a_pair(f"{i}?", f"{int(hard[i])}{int(hard[i] ^ noise[i])}", "00") for i in range(300)]
    scorers = {str(k): (lambda q, a, k=k: np.array([2 * int(x[k]) + (x == "00") for x in a], float)) for k in (0, 1)}
    pooled = pool([evaluate_pairs(pairs, scorers)])
    widths = [e.high - e.low for e in (pooled.differences["1"], pooled.macro["0"])]
    assert widths[0] < widths[1]


@pytest.mark.parametrize("scorers", [[], [{"longer": longer}, {"bm25": bm25}]])
def test_pooling_refuses_no_results_and_results_of_other_scorers(scorers):
    with pytest.raises(InputError, match="all of the same scorers"):
        pool([evaluate_pairs([a_pair()], s) for s in scorers])


README_LONGER = {
    "llmeval2_webgpt": 0.567,
    "llmeval2_eli5": 0.510,
    "llmeval2_shp": 0.594,
    "autoj": 0.715,
    "pandalm": 0.652,
    "vicuna80": 0.799,
    "mediqa": 0.609,
}
README_MACRO = 0.635


@pytest.mark.skipif(not EVAL.is_dir(), reason="the evaluation files (../shared/data/eval) are not there")
def test_the_longer_answer_scores_what_the_data_readme_says():
    results = {}
    for path in sorted(EVAL.glob("*.jsonl.gz")):
        results[path.name.removesuffix(".jsonl.gz")] = evaluate_pairs(list(read_pairs(path)), {"longer": longer})
    # The README counts two answers of equal length as wrong, we count them as half; the wins are the same.
    wins = {name: float((r.correct["longer"] == 1).mean()) for name, r in results.items()}
    assert wins == pytest.approx(README_LONGER, abs=0.0005)
    assert np.mean(list(wins.values())) == pytest.approx(README_MACRO, abs=0.0005)
    ties = {name: int((r.correct["longer"] == 0.5).sum()) for name, r in results.items()}
    assert {n: k for n, k in ties.items() if k} == {
        "autoj": 5,
        "llmeval2_shp": 1,
        "llmeval2_webgpt": 1,
        "pandalm": 6,
        "vicuna80": 1,
    }
    for name, result in results.items():
        assert result.accuracy["longer"].value == pytest.approx(wins[name] + ties[name] / 2 / result.pairs)
    assert pool(list(results.values())).macro["longer"].value == pytest.approx(0.637, abs=0.0005)

    pandalm, vicuna = results["pandalm"], results["vicuna80"]
    assert pandalm.gpt4.value == pytest.approx(0.819, abs=0.0005)
    assert (vicuna.gpt4.value, vicuna.gpt4_matched.value) == pytest.approx((0.681, 0.604), abs=0.0005)
    assert vicuna.gpt4_matched.count == 379
    assert {name for name, r in results.items() if r.gpt4} == {"pandalm", "vicuna80"}


def test_correctness_is_exact():
    assert correctness(np.float32([3e38, 0, -1e-45])).tolist() == [1.0, 0.5, 0.0]
