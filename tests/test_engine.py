"""The engine: what does not change an update (chunks, batches, recomputed activations), and what ends a run."""

import json
import sys
from dataclasses import replace
from random import Random

import pytest
import torch
from click.testing import CliRunner
from tokenizers import Tokenizer

from prefmodel.cli import main
from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.types import PreferencePair
from tests.command import fails
from tests.small_base import small_bert, word_tokenizer, write_base
from tests.small_run import BAD, GOOD, NOISE, answer, log, small_run
from training.config import ObjectiveConfig, TrainConfig
from training.data import encode
from training.engine import Engine, accelerator
from training.model import PreferenceNet

PLAIN = TrainConfig(freeze_embeddings=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def encoder():
    tokenizer = word_tokenizer([" ".join((*GOOD, *BAD, *NOISE))])
    return PairEncoder(tokenizer, EncodingConfig(max_tokens=32, question_tokens=12))


@pytest.fixture(scope="module")
def pairs(encoder):
    """Eight pairs of two questions; each answer stands in several."""
    rng = Random(0)
    out = []
    for question in ("word1 word2?", "word3 word4 word5?"):
        good, bad = [answer(rng, GOOD) for _ in range(2)], [answer(rng, BAD) + " word9" * i for i in range(2)]
        out += [PreferencePair(question, g, b, axiom="human", source="demo") for g in good for b in bad]
    return encode(out, encoder, ObjectiveConfig())[0]


def updated(pairs, encoder, config=PLAIN, goal=None, step=None):
    """Return what an update finds, and the gradient of each weight."""
    net = PreferenceNet(small_bert(encoder._tokenizer.get_vocab_size())).eval()  # without dropout
    with torch.no_grad():
        net.heads.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    engine = Engine(accelerator(config), net, encoder, pairs, config, goal or ObjectiveConfig())
    found = engine.update(step or list(range(len(pairs))), 0, 0.5)
    return found, {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def same(one, other):
    (found, gradient), (its_found, its_gradient) = one, other
    assert gradient.keys() == its_gradient.keys()
    for name in gradient:
        torch.testing.assert_close(gradient[name], its_gradient[name], atol=1e-6, rtol=1e-4)
    for name in ("loss", "norm", "spread"):
        assert getattr(found, name) == pytest.approx(getattr(its_found, name), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"chunk_pairs": 3}, {"chunk_pairs": 1}, {"batch_tokens": 40}, {"checkpointing": True}, {"precision": "float32"}],
    ids=str,
)
def test_how_an_update_is_computed_does_not_change_it(pairs, encoder, settings):
    expected = updated(pairs, encoder, replace(PLAIN, precision="float32"))
    same(updated(pairs, encoder, replace(PLAIN, **{"precision": "float32", **settings})), expected)


def test_a_clip_of_zero_is_none(pairs, encoder):
    free, wide, narrow = (updated(pairs, encoder, replace(PLAIN, clip=clip)) for clip in (0, 1e9, 0.01))
    same(free, wide)
    assert free[0].norm == pytest.approx(narrow[0].norm)  # as it was before
    assert torch.cat([g.flatten() for g in narrow[1].values()]).norm() == pytest.approx(0.01, rel=1e-3)
    assert torch.cat([g.flatten() for g in free[1].values()]).norm() == pytest.approx(free[0].norm, rel=1e-3)


def test_the_order_of_the_pairs_does_not_change_an_update(pairs, encoder):
    same(updated(pairs, encoder, step=[5, 2, 7, 0, 1, 6, 3, 4]), updated(pairs, encoder))


def test_the_gradient_is_that_of_the_objective(pairs, encoder):
    """By finite differences of the loss that an update tells."""
    net = PreferenceNet(small_bert(encoder._tokenizer.get_vocab_size())).eval()
    with torch.no_grad():
        net.heads.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    config = replace(PLAIN, precision="float32", clip=1e9, chunk_pairs=3)
    engine = Engine(accelerator(config), net, encoder, pairs, config, ObjectiveConfig())
    engine.update(range(len(pairs)), 0, 0.5)
    slope = net.heads.weight.grad[1, 3].item()
    losses = []
    for step in (0.05, -0.05):
        with torch.no_grad():
            net.heads.weight[1, 3] += step
        losses.append(engine.update(range(len(pairs)), 0, 0.5).loss)
        with torch.no_grad():
            net.heads.weight[1, 3] -= step
        engine.discard()
    assert (losses[0] - losses[1]) / 0.1 == pytest.approx(slope, rel=0.02, abs=1e-3)


def test_compiling_gives_the_same_update(pairs, encoder):
    config = replace(PLAIN, precision="float32")
    same(updated(pairs, encoder, replace(config, compile=True)), updated(pairs, encoder, config))


def test_every_objective_trains(small, tmp_path):
    objective = {"loss": "hinge", "margins": {"human": 2.0, "usefulness": 0.5}, "weights": {"usefulness": 0.5}}
    objective |= {"label_smoothing": 0.05, "length": 0.1, "separate": 0.01, "base_relevance": 0.01}
    settings = {"group_questions": True, "curriculum": True, "chunk_pairs": 5, "objective": objective}
    out = tmp_path / "run"
    result = small.variant("objectives", **settings).train(out)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "run.json").read_text())["test_accuracy"]["human"] > 0.9


def test_masked_words_are_learned_beside_the_pairs(small, tmp_path):
    base = write_base(tmp_path / "base", [" ".join(("[MASK]", *GOOD, *BAD, *NOISE))])
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.save(str(base / "tokenizer.json"))
    model = small_bert(tokenizer.get_vocab_size())
    model.save_pretrained(base)
    losses = {}
    for weight in (0.0, 0.5):
        out = tmp_path / str(weight)
        run = small.variant("masked", base=base, objective={"masked_lm": weight, "masked_share": 0.3})
        result = run.train(out)
        assert result.exit_code == 0, result.output
        losses[weight] = [entry["loss"] for entry in log(out)]
        names = {path.name for path in out.iterdir()}
    assert "model.safetensors" in names
    first, last = (sum(losses[0.5][part]) / 5 for part in (slice(5), slice(-5, None)))
    assert first - sum(losses[0.0][:5]) / 5 > 0.5  # the words cost something
    assert last < first - 0.5  # and are learned


def test_a_base_without_a_mask_is_told(small, tmp_path):
    result = small.variant("unmasked", objective={"masked_lm": 0.5}).train(tmp_path / "run")
    fails(result, "objective.masked_lm: the tokenizer has no [MASK] or <mask>; allowed: 0 for this base")


def test_a_collapse_is_told_and_the_best_weights_stay(small, tmp_path):
    out = tmp_path / "run"
    wild = {"learning_rate": 1.0, "head_learning_rate": 1e-3, "warmup": 0.0, "clip": 1e9, "dropout": 0.0}
    result = small.variant("collapse", eval_every=5, **wild).train(out)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert "the model collapsed: for 10 updates it has given all answers the same score" in last
    assert str(out / "best") in last
    PreferenceNet.from_checkpoint(out / "best")
    assert not (out / "run.json").exists()


def test_an_explosion_is_told_and_the_best_weights_stay(small, tmp_path):
    out = tmp_path / "run"
    wild = {"learning_rate": 1e-3, "head_learning_rate": 1e3, "warmup": 0.5, "dropout": 0.0}
    result = small.variant("explosion", eval_every=5, **wild).train(out)
    assert result.exit_code == 1
    assert "the loss explodes: " in result.stderr.splitlines()[-1]
    PreferenceNet.from_checkpoint(out / "best")


def test_the_trackers_get_what_the_log_gets(small, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    assert small.train(out, "--track", "tensorboard", "--max-steps", 20).exit_code == 0
    [events] = [path.parent for path in out.rglob("events.out.tfevents*") if "prefmodel" in str(path.parent)][:1]
    found = EventAccumulator(str(events))
    found.Reload()
    losses = [event.value for event in found.Scalars("loss")]
    assert losses == pytest.approx([entry["loss"] for entry in log(out)])
    assert "dev/human" in found.Tags()["scalars"]


def test_a_tracker_that_is_not_installed_is_told(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    result = small.train(tmp_path / "run", "--track", "wandb")
    fails(result, "--track is wandb, which is not installed: pip install wandb")
    assert not (tmp_path / "run").exists()


def test_runs_of_one_process_may_differ_in_precision(pairs, encoder):
    found = [
        updated(pairs, encoder, replace(PLAIN, precision=name))[0].loss for name in ("float32", "bfloat16", "float32")
    ]
    assert found[0] == found[2]
    assert found[1] == pytest.approx(found[0], rel=0.02)
    assert found[1] != found[0]


def resumed(out, *more):
    return CliRunner().invoke(main, ["train", "--resume", str(out), *more])


def test_a_stopped_run_goes_on_with_its_folder_alone(small, tmp_path):
    out = tmp_path / "run"
    assert small.train(out, "--max-steps", 5).exit_code == 0
    result = resumed(out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "reading threads" not in result.stderr
    fails(resumed(out), f"--resume is {out}, which holds a finished run; allowed: the folder of one that was stopped")


def test_a_kill_while_the_best_weights_are_replaced_loses_none(small, tmp_path):
    out = tmp_path / "run"
    assert small.variant("looks", eval_every=5).train(out, "--max-steps", 5).exit_code == 0
    (out / "best").rename(out / "best.old")  # the new ones would be put in their place next
    assert resumed(out, "--max-steps", "1").exit_code == 0
    assert PreferenceNet.from_checkpoint(out / "best") is not None
    assert not (out / "best.old").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "nowhere"], "--resume is nowhere, which holds no run"),
        (["--resume", "nowhere", "--seed", "1"], "--resume is given with --seed; allowed: --resume with --max-steps"),
        (["recipe.toml", "-o", "run"], "--data is missing; required: RECIPE, --data and -o, or --resume alone"),
    ],
)
def test_what_resume_goes_with_is_told(arguments, message):
    fails(CliRunner().invoke(main, ["train", *arguments]), message)
