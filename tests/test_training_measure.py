"""Measuring: order, modes and precision of the contributions, and accuracy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import PrefModelError
from prefmodel.types import CONTRIBUTIONS, PreferencePair
from tests.small_base import small_bert, word_tokenizer
from training.config import TrainConfig
from training.data import EncodedPair
from training.forward import forward
from training.measure import accuracy_by_axiom, contributions
from training.model import PreferenceNet
from training.optimizer import adamw, learning_rate, set_learning_rate
from training.plan import plan

WORDS = "why is it so long a b c d e f g h"


@pytest.fixture
def encoder():
    return PairEncoder(word_tokenizer([WORDS]), EncodingConfig(max_tokens=32, question_tokens=12))


@pytest.fixture
def net(encoder):
    classifier = small_bert(32)
    torch.manual_seed(1)
    size = (len(CONTRIBUTIONS), classifier.config.hidden_size)
    return PreferenceNet(classifier, torch.randn(size), torch.randn(len(CONTRIBUTIONS)))


def encodings(encoder):
    """Return inputs of many lengths, not in their order."""
    answers = ["a b c d e f", "a", "h g f e d c b a", "b", "c d e"]
    return encoder.encode_batch(["why?"] * len(answers), answers)


def test_contributions_come_in_the_order_of_the_inputs(net, encoder):
    inputs = encodings(encoder)
    alone = np.concatenate([contributions(net, encoder, [one], 32, bfloat16=False) for one in inputs])
    for batch_tokens in (1, 24, 1000):
        together = contributions(net, encoder, inputs, batch_tokens, bfloat16=False)
        assert together.dtype == np.float32
        np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.abs(alone - alone[0]).max() > 0.01  # else the order would not show


def test_bfloat16_is_near_float32(net, encoder):
    exact, fast = (contributions(net, encoder, encodings(encoder), 64, bfloat16) for bfloat16 in (False, True))
    assert 0 < np.abs(exact - fast).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_mode_as_it_was(net, encoder, training):
    net.train(training)
    first, second = (contributions(net, encoder, encodings(encoder), 64) for _ in range(2))
    assert np.array_equal(first, second)  # in training mode, dropout would make them differ
    assert net.training == net.classifier.training == training
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def test_the_forward_pass_has_gradients(net, encoder):
    out = forward(net, encoder, encodings(encoder), 64)
    assert out.dtype == torch.float32
    out.sum().backward()
    assert net.heads.weight.grad.abs().sum() > 0


def test_nothing_gives_nothing(net, encoder):
    assert contributions(net, encoder, [], 64).shape == (0, len(CONTRIBUTIONS))
    assert accuracy_by_axiom(net, encoder, [], 64) == {}


def test_the_accuracy_is_that_of_the_summed_contributions(net, encoder):
    answers = ["a b c", "d", "e f", "g h a"]
    scores = contributions(net, encoder, encoder.encode_batch(["why?"] * 4, answers), 64).sum(1)
    best, worst = answers[scores.argmax()], answers[scores.argmin()]

    def labelled(chosen, rejected, axiom):
        return PreferencePair("why?", chosen, rejected, axiom=axiom, source="demo")

    pairs = [labelled(best, worst, "one"), labelled(worst, best, "two"), labelled(best, worst, "two")]
    pairs.append(labelled(best, best, "three"))
    # None of these says that its chosen side is better.
    pairs += [
        replace(labelled(worst, best, axiom), target=t) for axiom, t in (("one", 0.5), ("one", 0.0), ("four", 0.5))
    ]
    assert accuracy_by_axiom(net, encoder, pairs, 64) == {"one": 1.0, "two": 0.5, "three": 0.5}


def test_scores_that_are_no_numbers_are_told(net, encoder):
    with torch.no_grad():
        net.heads.weight[0, 0] = float("nan")
    pair = PreferencePair("why?", "a", "b", axiom="human", source="demo")
    with pytest.raises(PrefModelError, match="infinite or not numbers"):
        accuracy_by_axiom(net, encoder, [pair], 64)


def test_every_trained_parameter_is_in_one_group(net):
    net.classifier.get_input_embeddings().requires_grad_(False)
    config = TrainConfig(learning_rate=1.0, head_learning_rate=5.0, weight_decay=0.1)
    optimizer = adamw(net, net.heads, config)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in net.parameters() if p.requires_grad)
    set_learning_rate(optimizer, progress=config.warmup, warmup=config.warmup)
    found = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert found[id(net.heads.weight)] == found[id(net.heads.bias)] == (5.0, 0.0)
    assert found[id(net.classifier.bert.pooler.dense.weight)] == (1.0, 0.1)
    assert found[id(net.classifier.bert.pooler.dense.bias)] == (1.0, 0.0)
    assert found[id(net.classifier.bert.embeddings.LayerNorm.weight)] == (1.0, 0.0)


def test_the_learning_rate_rises_then_falls():
    course = [learning_rate(2.0, step / 100, warmup=0.1) for step in range(101)]
    assert course[0] == 0
    assert course[10] == max(course) == 2.0
    assert course[:11] == sorted(course[:11])
    assert course[10:] == sorted(course[10:], reverse=True)
    assert course[100] == pytest.approx(0)
    assert learning_rate(2.0, 0.0, warmup=0.0) == 2.0


def test_the_plan_sees_each_pair_once_an_epoch():
    ten = [EncodedPair(None, None, head=0, margin=0.0, target=1.0, question=i) for i in range(10)]
    steps = plan(ten, TrainConfig(step_pairs=4, epochs=2), seed=0)
    assert [len(step) for step in steps] == [4, 4, 2] * 2
    first, second = ([i for step in half for i in step] for half in (steps[:3], steps[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert plan(ten, TrainConfig(step_pairs=4, epochs=2), seed=0) == steps
    assert plan(ten, TrainConfig(step_pairs=4, epochs=2), seed=1) != steps
