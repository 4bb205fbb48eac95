import json
import os
import sys
import threading

import numpy as np
import onnx
import pytest
from onnx import helper

from prefmodel.backends.interface import INPUTS
from prefmodel.backends.onnxruntime import OnnxRuntimeBackend
from prefmodel.bundle import write_manifest
from prefmodel.cpus import usable_cpus
from prefmodel.errors import InputError
from prefmodel.explanation import Explanation
from prefmodel.model import PreferenceModel, Ranked
from prefmodel.types import CONTRIBUTIONS, Message
from tests.tiny import ENCODING, TRAINING, tiny_graph

QUESTION = "Why is the sky blue?"
DIALOGUE = [{"role": "user", "content": QUESTION}]
ANSWERS = ["Because air scatters blue light.", "No idea.", "The sea is mirrored in it."]


def raises(message: str):
    return pytest.raises(InputError, match=message)


def test_score_is_what_the_graph_gives(model, tiny_bundle):
    encoding = model.bundle.encoder().encode(QUESTION, ANSWERS[0])
    arrays = {name: np.array([encoding.ids]) for name in INPUTS}
    arrays |= {"attention_mask": np.ones_like(arrays["input_ids"]), "token_type_ids": np.array([encoding.type_ids])}
    logits, _ = OnnxRuntimeBackend(tiny_bundle / "onnx/model_int8.onnx", "int8", threads=1).run(arrays)
    score = model.score(QUESTION, ANSWERS[0])
    assert type(score) is float
    assert score == pytest.approx(float(logits[0]), abs=1e-5)


def test_precisions_differ(model, tiny_bundle):
    exact = PreferenceModel.from_pretrained(tiny_bundle, precision="float32", threads=1)
    assert exact.score(QUESTION, ANSWERS[0]) != model.score(QUESTION, ANSWERS[0])
    assert exact.score(QUESTION, ANSWERS[0]) == pytest.approx(model.score(QUESTION, ANSWERS[0]), abs=0.1)


def test_broadcast(model):
    single = np.array([model.score(QUESTION, a) for a in ANSWERS], np.float32)
    assert len({*single.tolist()}) == 3
    scores = model.score(QUESTION, ANSWERS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, single, atol=1e-5)
    for many in ([QUESTION] * 3, (QUESTION,) * 3, [DIALOGUE] * 3, [QUESTION, DIALOGUE, (Message("user", QUESTION),)]):
        np.testing.assert_allclose(model.score(many, ANSWERS), single, atol=1e-5)
    for one in (DIALOGUE, tuple(DIALOGUE), [Message("user", QUESTION)]):
        assert model.score(one, ANSWERS[0]) == pytest.approx(single[0], abs=1e-5)
        np.testing.assert_allclose(model.score(one, ANSWERS), single, atol=1e-5)
    assert model.score([QUESTION, "Why?"], ANSWERS[0])[0] == pytest.approx(single[0], abs=1e-5)
    np.testing.assert_allclose(model.score(QUESTION, np.array(ANSWERS)), single, atol=1e-5)
    np.testing.assert_allclose(model.score(np.array([QUESTION] * 3), tuple(ANSWERS)), single, atol=1e-5)


def test_sequences_of_one_and_none(model):
    assert model.score([QUESTION], [ANSWERS[0]]).shape == (1,)
    assert model.score(QUESTION, [ANSWERS[0]]).shape == (1,)
    assert model.score([QUESTION], ANSWERS[0]).shape == (1,)
    for empty in (model.score(QUESTION, []), model.score([], "Yes."), model.score([], [])):
        assert empty.shape == (0,)
        assert empty.dtype == np.float32
    assert len(model.score_batch([], [])) == 0
    assert model.score_batch([], []).contributions.shape == (0, 6)
    assert model.rank(QUESTION, []) == []


def test_dialogues_as_arrays(model):
    """As pandas has the lists of a Parquet file."""
    array = np.array(DIALOGUE, dtype=object)
    one = pytest.approx(model.score(DIALOGUE, ANSWERS[0]), abs=1e-5)
    assert model.score(array, ANSWERS[0]) == one
    assert model.score([array, array], ANSWERS[:2])[0] == one
    assert model.score_batch([array], ANSWERS[:1]).scores[0] == one
    assert model.rank(array, ANSWERS) == model.rank(DIALOGUE, ANSWERS)
    assert model.compare(array, *ANSWERS[:2]) == model.compare(DIALOGUE, *ANSWERS[:2])
    with raises(r"^question is array\(\[\].*; allowed: non-empty text, or messages"):
        model.rank(array[:0], ANSWERS)


def test_order_and_batches(model):
    """More tokens than one batch holds, of mixed lengths: each score is that of its own answer."""
    answers = [f"{'air ' * (i * 7 % 40)}{i}" for i in range(16 * model.batch_tokens // 50)]
    shuffled = np.random.default_rng(0).permutation(len(answers))
    scores = model.score(QUESTION, answers)
    again = model.score(QUESTION, [answers[i] for i in shuffled])
    np.testing.assert_allclose(again, scores[shuffled], atol=1e-5)
    for i in (0, 100, len(answers) - 1):
        assert model.score(QUESTION, answers[i]) == pytest.approx(float(scores[i]), abs=1e-5)


def test_the_same_is_scored_once(copied_bundle):
    """A graph that adds the number of rows of its batch to each contribution tells how many rows it got."""
    graph = tiny_graph(200)
    graph.graph.node[-2].input[0] = "counted"
    extra = [
        helper.make_node("Shape", ["input_ids"], ["rows"], start=0, end=1),
        helper.make_node("Cast", ["rows"], ["rows_float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["product", "rows_float"], ["counted"]),
    ]
    for node in extra:
        graph.graph.node.insert(len(graph.graph.node) - 2, node)
    onnx.save(graph, copied_bundle / "onnx/model.onnx")
    write_manifest(copied_bundle, ENCODING, CONTRIBUTIONS, 1.5, TRAINING)
    model = PreferenceModel.from_pretrained(copied_bundle, precision="float32", threads=1)
    alone = model.score(QUESTION, ANSWERS[0]) - 6 * 1
    answers = [ANSWERS[0], ANSWERS[1], ANSWERS[0], ANSWERS[0]]
    # A dialogue of one turn is another question than its text, so three of the four are different.
    scores = model.score([QUESTION, QUESTION, DIALOGUE, QUESTION], answers)
    assert scores[0] == pytest.approx(alone + 6 * 3, abs=1e-4)
    assert scores[0] == scores[3]
    assert scores[0] != scores[1]


def test_score_batch(model):
    long = "air " * 100
    scores = model.score_batch([QUESTION, "sky " * 20, QUESTION], ["No.", "No.", long])
    assert scores.contributions.shape == (3, len(CONTRIBUTIONS))
    np.testing.assert_allclose(scores.contributions.sum(1), scores.scores, atol=1e-5)
    assert scores.question_cut.tolist() == [0, 5, 0]
    assert scores.answer_cut.tolist() == [0, 0, 100 - (64 - 3 - 6) + 1]
    assert scores.answer_cut.dtype == np.int64


def test_rank(model):
    scores = model.score(QUESTION, ANSWERS)
    ranking = model.rank(QUESTION, ANSWERS)
    assert [r.score for r in ranking] == sorted(scores.tolist(), reverse=True)
    assert [r.index for r in ranking] == np.argsort(-scores).tolist()
    assert all(r == Ranked(r.index, float(scores[r.index]), ANSWERS[r.index]) for r in ranking)


def test_ties_keep_their_order(model):
    ranking = model.rank(QUESTION, [ANSWERS[0], ANSWERS[1], ANSWERS[0], ANSWERS[1], ANSWERS[0]])
    assert [r.index for r in ranking if r.answer == ANSWERS[0]] == [0, 2, 4]
    assert [r.index for r in ranking if r.answer == ANSWERS[1]] == [1, 3]


def test_compare(model):
    a, b = model.score(QUESTION, ANSWERS[:2])
    expected = 1 / (1 + np.exp(-(float(a) - float(b)) / 1.5))
    assert model.compare(QUESTION, *ANSWERS[:2]) == pytest.approx(expected, abs=1e-6)
    assert model.compare(QUESTION, ANSWERS[1], ANSWERS[0]) == pytest.approx(1 - expected, abs=1e-6)
    assert model.compare(QUESTION, ANSWERS[0], ANSWERS[0]) == 0.5


def test_explain(model):
    explanation = model.explain(QUESTION, ANSWERS[0])
    assert list(explanation.contributions) == list(CONTRIBUTIONS)
    assert explanation.score == model.score(QUESTION, ANSWERS[0])
    assert sum(explanation.contributions.values()) == pytest.approx(explanation.score, abs=1e-5)
    assert explanation.probability is None
    assert explanation.other_score is None


def test_explain_a_difference(model):
    answer, other = model.explain(QUESTION, ANSWERS[0]), model.explain(QUESTION, ANSWERS[1])
    both = model.explain(QUESTION, ANSWERS[0], ANSWERS[1])
    assert both.score == pytest.approx(answer.score, abs=1e-5)
    assert both.other_score == pytest.approx(other.score, abs=1e-5)
    for name in CONTRIBUTIONS:
        expected = answer.contributions[name] - other.contributions[name]
        assert both.contributions[name] == pytest.approx(expected, abs=1e-5)
    assert sum(both.contributions.values()) == pytest.approx(both.score - both.other_score, abs=1e-5)
    assert both.probability == model.compare(QUESTION, ANSWERS[0], ANSWERS[1])


def test_explain_tells_what_was_cut(model):
    explanation = model.explain("sky " * 20, "air " * 100, "air " * 50)
    assert (explanation.question_cut, explanation.answer_cut, explanation.other_cut) == (5, 56, 6)
    assert str(explanation).splitlines()[-1] == (
        "cut: 5 tokens of the question, 56 tokens of the answer, 6 tokens of the other answer"
    )


def test_table():
    explanation = Explanation(1.25, {"relevance": 10.5, "general": -0.25}, 0, 0, -9.0, 0, 0.75)
    assert str(explanation).splitlines() == [
        "relevance      +10.50",
        "general         -0.25",
        "---------------------",
        "difference     +10.25",
        "score           +1.25",
        "other's score   -9.00",
        "probability      0.75",
    ]


NO_TEXT = [None, 5, 1.5, True, b"text", "", " \n\t", object]


@pytest.mark.parametrize("wrong", NO_TEXT)
def test_no_text(model, wrong):
    with raises(r"^answer is .*; allowed: non-empty text$"):
        model.score(QUESTION, wrong)
    with raises(r"^question is .*; allowed: non-empty text, or messages"):
        model.score(wrong, "Yes.")
    with raises(r"^answer\[1\] is .*; allowed: non-empty text$"):
        model.score(QUESTION, ["Yes.", wrong])
    with raises(r"^question\[1\] is .*; allowed: non-empty text, or messages"):
        model.score([QUESTION, wrong], "Yes.")
    with raises(r"^answers\[2\] is .*; allowed: non-empty text$"):
        model.rank(QUESTION, ["Yes.", "No.", wrong])
    with raises(r"^question is "):
        model.rank(wrong, ["Yes."])
    with raises(r"^b is .*; allowed: non-empty text$"):
        model.compare(QUESTION, "Yes.", wrong)
    with raises(r"^a is .*; allowed: non-empty text$"):
        model.compare(QUESTION, wrong, "No.")
    with raises(r"^answers\[0\] is "):
        model.score_batch([QUESTION], [wrong])
    with raises(r"^questions\[0\] is "):
        model.score_batch([wrong], ["Yes."])


def test_explain_wants_text(model):
    with raises("^answer is None"):
        model.explain(QUESTION, None)
    with raises("^other is ''"):
        model.explain(QUESTION, "Yes.", "")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ([{"role": "user"}], r"^question: question holds {'role': 'user'}; allowed: messages with role and content"),
        ([{"role": "bot", "content": "x"}], r"^question: role is 'bot'; allowed: system, user"),
        ([{"role": "user", "content": None}], r"^question: content is None; allowed: str"),
        ([{"role": "user", "content": "x"}, "y"], r"^question: question holds 'y'"),
        ([{"role": "user", "content": " "}], r"allowed: messages of which one has text"),
        ([QUESTION, []], r"^question\[1\] is \[\]; allowed: "),
        ([QUESTION, [{"role": "bot", "content": "x"}]], r"^question\[1\]: role is 'bot'"),
        ({"role": "user", "content": "x"}, r"^question is {'role': 'user', 'content': 'x'}; allowed: "),
    ],
)
def test_no_dialogue(model, question, message):
    with raises(message):
        model.score(question, "Yes.")


def test_unequal_lengths(model):
    with raises("there are 2 questions and 3 answers; allowed: equally many"):
        model.score(["Why?", "How?"], ANSWERS)
    with raises("there are 1 questions and 3 answers"):
        model.score(["Why?"], ANSWERS)
    with raises("there are 0 questions and 3 answers"):
        model.score_batch([], ANSWERS)


@pytest.mark.parametrize("wrong", ["text", None, 5, {"a": "b"}])
def test_no_sequence(model, wrong):
    with raises("^answers is .*; allowed: a sequence"):
        model.rank(QUESTION, wrong)
    with raises("^questions is .*; allowed: a sequence"):
        model.score_batch(wrong, ["Yes."])


def test_any_text_can_be_scored(model):
    for text in ("[SEP]", "\0", "\ud800", "🙂", "a" * 10_000, "\u202e"):
        assert np.isfinite(model.score(text, text))


def test_messages_without_text_are_fine_beside_others(model):
    turns = [{"role": "assistant", "content": ""}, {"role": "user", "content": "Why?"}]
    assert np.isfinite(model.score(turns, "Because."))


def test_the_data_of_callers_stay_as_they_are(model):
    question, answers = [dict(DIALOGUE[0])], list(ANSWERS)
    model.rank(question, answers)
    assert question == DIALOGUE
    assert answers == ANSWERS


def test_threads_get_the_same_scores(model):
    expected = model.score(QUESTION, ANSWERS)
    found = []
    workers = [threading.Thread(target=lambda: found.append(model.score(QUESTION, ANSWERS))) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8
    assert all(np.array_equal(scores, expected) for scores in found)


def test_usable_cpus_is_what_the_scheduler_gives():
    if sys.platform == "linux":
        assert usable_cpus() == len(os.sched_getaffinity(0))
    assert usable_cpus() >= 1


def test_contributions_without_a_record_are_experimental(tiny_bundle, copied_bundle):
    plain = PreferenceModel.from_pretrained(tiny_bundle).explain("Why?", "Because.")
    assert plain.experimental == tuple(plain.contributions)
    manifest = copied_bundle / "prefmodel.json"
    facts = json.loads(manifest.read_text())
    facts["training"]["accuracy"] = {"trusted": ["relevance"]}
    manifest.write_text(json.dumps(facts))
    shown = str(PreferenceModel.from_pretrained(copied_bundle).explain("Why?", "Because."))
    assert [line.split()[0] for line in shown.splitlines() if "experimental" in line] == [
        name for name in plain.contributions if name != "relevance"
    ]
