"""The contribution `length`: fitted when a model is exported, the same everywhere, and left out of rewards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from export.calibrate import fit_length
from prefmodel import PreferenceModel
from prefmodel.cli import main
from prefmodel.errors import BundleError, InputError
from prefmodel.files import read_pairs, write_pairs
from prefmodel.rewards import RewardConfig
from prefmodel.rewards.scorer import score_samples
from prefmodel.types import CONTRIBUTIONS, PreferencePair
from tests.small_run import BAD, GOOD, NOISE, answer, labels, question, small_run
from training.length import Length
from training.model import PreferenceNet

QUESTION = "Why is the sky blue?"
SHORT, LONG = " ".join(NOISE[:3]), " ".join(NOISE[:3] * 4)


def longer_wins(rng: Random, count: int) -> list[PreferencePair]:
    """Return labels of answers that are equally good; people prefer the longer one four times of five."""
    out = []
    for _ in range(count):
        kind = rng.choice([GOOD, BAD])  # so that on the whole the words say nothing
        sides = [" ".join(rng.choices(kind, k=k)) for k in (rng.randint(2, 4), rng.randint(8, 12))]
        chosen, rejected = sides[::-1] if rng.random() < 0.8 else sides
        out.append(PreferencePair(question(rng), chosen, rejected, "human", "demo"))
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = small_run(folder / "in").variant("short", epochs=3).train(folder / "run")
    assert done.exit_code == 0, done.output
    for name, seed in (("dev", 8), ("test", 9)):
        rng = Random(seed)
        pairs = [*labels(rng, 500), *longer_wins(rng, 500)]
        write_pairs(folder / "run" / "heldout" / f"{name}.jsonl.gz", rng.sample(pairs, len(pairs)))
    return folder / "run"


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Path:
    done = run("export", trained, "-o", trained.parent / "bundle", "--length", "--torch")
    assert done.exit_code == 0, done.output
    assert "fitted on 1000 human-labelled pairs" in done.stderr
    return trained.parent / "bundle"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def length_of(scores: object) -> np.ndarray:
    return scores.contributions[:, -1]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("backend", "precision"), [("onnxruntime", "float32"), ("onnxruntime", "int8"), ("torch", None)]
)
def test_it_grows_with_the_logarithm_of_the_tokens(bundle: Path, backend: str, precision: str | None) -> None:
    model = PreferenceModel.from_pretrained(bundle, precision=precision, backend=backend)
    assert model.bundle.contributions == (*CONTRIBUTIONS, "length")
    scores = model.score_batch([QUESTION] * 3, [SHORT, LONG, f"{LONG} {LONG}"])
    np.testing.assert_allclose(scores.contributions.sum(1), scores.scores, atol=1e-3)
    encoded = model.bundle.encoder().encode_batch([QUESTION] * 3, [SHORT, LONG, f"{LONG} {LONG}"])
    tokens = np.log([sum(encoding.type_ids) for encoding in encoded])
    rates = np.diff(length_of(scores)) / np.diff(tokens)
    assert rates[0] == pytest.approx(rates[1], abs=1e-3)
    assert rates[0] > 0.2
    other = model.score_batch(["How is it?"] * 2, [SHORT, " ".join(NOISE[3:6])])
    np.testing.assert_allclose(length_of(other), length_of(scores)[0], atol=1e-5)  # whatever is said, and asked


def test_it_has_zero_mean_and_is_no_experiment(bundle: Path, trained: Path) -> None:
    model = PreferenceModel.from_pretrained(bundle)
    pairs = [*read_pairs(trained / "heldout" / "dev.jsonl.gz")][:50]
    sides = [p.chosen for p in pairs] + [p.rejected for p in pairs]
    scores = model.score_batch([p.question for p in pairs] * 2, sides)
    assert length_of(scores).mean() == pytest.approx(0, abs=1e-3)
    assert "length" not in model.bundle.experimental
    assert "length" in model.explain(QUESTION, SHORT).contributions
    facts = model.bundle.info["training"]["accuracy"]
    assert set(facts["contributions"]["general"]) == set(CONTRIBUTIONS)


def test_it_agrees_with_people_who_like_length(bundle: Path, trained: Path, tmp_path: Path) -> None:
    assert run("export", trained, "-o", tmp_path / "without").exit_code == 0
    write_pairs(tmp_path / "pairs.jsonl", longer_wins(Random(11), 400))
    found = {}
    for name, folder in (("with", bundle), ("without", tmp_path / "without")):
        model = PreferenceModel.from_pretrained(folder)
        pairs = [*read_pairs(tmp_path / "pairs.jsonl")]
        margins = model.score([p.question for p in pairs], [p.chosen for p in pairs])
        margins = margins - model.score([p.question for p in pairs], [p.rejected for p in pairs])
        found[name] = (margins > 0).mean()
    assert found["with"] > found["without"] + 0.05


def test_labels_of_ones_own_are_fitted_on(trained: Path, tmp_path: Path) -> None:
    """Whichever answer a file calls the chosen one: its target says which of the two people preferred."""
    others = [replace(pair, axiom="relevance") for pair in labels(Random(6), 50)]  # as in what a run held out
    human = [*labels(Random(4), 300), *longer_wins(Random(5), 100)]
    swapped = [replace(pair, chosen=pair.rejected, rejected=pair.chosen, target=0.0) for pair in human]
    said = []
    for name, pairs in (("human", human), ("mixed", [*swapped[:250], *human[250:]]), ("few", human[:20])):
        write_pairs(tmp_path / f"{name}.jsonl", [*others, *pairs])
        more = ["--length", "--precision", "float32", "--labels", tmp_path / f"{name}.jsonl"]
        done = run("export", trained, "-o", tmp_path / name, *more)
        assert done.exit_code == 0, done.output
        said.append([line for line in done.stderr.splitlines() if "fitted on" in line])
    assert len(said[0]) == 2
    assert all(line.endswith("fitted on 400 human-labelled pairs") for line in said[0])
    assert said[1] == said[0]
    assert said[2][1].endswith("fitted on 20 human-labelled pairs, which are few: it leans towards 1")


@pytest.mark.parametrize("pairs", [[], [replace(pair, axiom="relevance") for pair in labels(Random(6), 5)]])
def test_files_without_labels_are_told(pairs: list[PreferencePair], trained: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "none.jsonl", pairs)
    done = run("export", trained, "-o", tmp_path / "out", "--labels", tmp_path / "none.jsonl")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert str(tmp_path / "none.jsonl") in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_reward_leaves_it_out(bundle: Path) -> None:
    model = PreferenceModel.from_pretrained(bundle)
    samples = [(QUESTION, SHORT), (QUESTION, LONG)]
    plain = score_samples(model, samples, RewardConfig(temperature=1.0))
    kept = score_samples(model, samples, RewardConfig(temperature=1.0, length=True))
    length = length_of(plain.scored)
    np.testing.assert_allclose(np.array(kept.numbers()) - plain.numbers(), length, atol=1e-5)
    np.testing.assert_allclose(plain.numbers(), plain.scored.scores - length, atol=1e-5)
    assert abs(np.diff(length)[0]) > 0.1
    with pytest.raises(InputError, match="length is 1; allowed: true or false"):
        RewardConfig(length=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", [None, "int8"])
def test_an_unpacked_bundle_keeps_it_and_a_base_leaves_it(bundle: Path, tmp_path: Path, precision: str | None) -> None:
    more = ["--precision", precision] if precision else []
    done = run("unpack", bundle, "-o", tmp_path / "checkpoint", *more)
    assert done.exit_code == 0, done.output
    kept = PreferenceNet.from_checkpoint(tmp_path / "checkpoint").length
    expected = PreferenceNet.from_checkpoint(bundle).length
    assert kept is not None
    assert expected is not None
    assert (kept.rate, kept.centre) == pytest.approx((expected.rate, expected.centre), abs=1e-3)
    assert PreferenceNet.from_base(tmp_path / "checkpoint").length is None


def test_others_learn_against_one_that_is_kept(bundle: Path, tmp_path: Path) -> None:
    assert run("unpack", bundle, "-o", tmp_path / "base").exit_code == 0
    small = small_run(tmp_path / "in")
    write_pairs(small.folder / "data" / "labels.jsonl.gz", padded(Random(1), 240))
    without = small.variant("without", keep_length=True).train(tmp_path / "without")
    assert without.stderr.splitlines()[-1].endswith("has no contribution length, which train.keep_length needs")
    done = small.variant("more", tmp_path / "base", keep_length=True, start=1.0).train(tmp_path / "run")
    assert done.exit_code == 0, done.output
    lengths = [PreferenceNet.from_checkpoint(tmp_path / name).length for name in ("base", "run")]
    assert lengths[0] == lengths[1] is not None
    done = run("export", tmp_path / "run", "-o", tmp_path / "out", "--precision", "float32")
    assert done.exit_code == 0, done.output
    assert "with which the model was trained" in done.stderr

    pairs, right = padded(Random(9), 100), []
    for folder in (bundle, tmp_path / "out"):
        model = PreferenceModel.from_pretrained(folder, precision="float32")
        assert model.bundle.contributions[-1] == "length"
        questions = [pair.question for pair in pairs]
        plain = model.score(questions, [pair.chosen for pair in pairs])
        right.append((plain > model.score(questions, [pair.rejected for pair in pairs])).mean())
    assert right[0] < 0.5
    assert right[1] > 0.9
    first = PreferenceModel.from_pretrained(bundle).bundle.info["training"]
    before = model.bundle.info["training"]["before"]  # what was learned before is told, too
    assert before == {key: first[key] for key in first.keys() - {"accuracy", "parity"}}


def padded(rng: Random, count: int) -> list[PreferencePair]:
    """Return pairs in which the rejected answer is the chosen one with words that say nothing after it."""
    out = []
    for _ in range(count):
        good = answer(rng, GOOD)
        filler = " ".join(rng.choices(NOISE, k=12))
        out.append(PreferencePair(question(rng), good, f"{good} {filler}", axiom="human", source="demo"))
    return out


def test_a_rate_is_found_again() -> None:
    random = np.random.default_rng(0)
    margins, ratios = random.normal(size=(2, 20_000)).astype(np.float32)
    right = random.random(20_000) < 1 / (1 + np.exp(-(margins + 0.6 * ratios) / 1.5))
    sign = np.where(right, 1, -1).astype(np.float32)
    assert fit_length(margins * sign, ratios * sign) == pytest.approx(0.6, abs=0.1)
    assert fit_length(margins, ratios, right.astype(np.float32)) == pytest.approx(
        fit_length(margins * sign, ratios * sign)
    )
    with pytest.raises(InputError, match="say nothing of the held-out human labels"):
        fit_length(-margins * sign, ratios * sign)


def test_what_it_needs_is_told(trained: Path, tmp_path: Path) -> None:
    rng = Random(3)
    pairs = [PreferencePair(question(rng), answer(rng, GOOD), answer(rng, BAD), "other", "demo") for _ in range(2200)]
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    done = run("export", trained, "-o", tmp_path / "out", "--length", "--heldout", tmp_path / "pairs.jsonl")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: length is asked for, and there are no held-out human labels")
    from transformers import RobertaConfig, RobertaForSequenceClassification

    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    net = PreferenceNet(RobertaForSequenceClassification(RobertaConfig(vocab_size=9, num_labels=1, **shape)))
    net.length = Length(0.5, 2.0)
    with pytest.raises(BundleError, match="does not tell questions from answers"):
        net(torch.ones(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.long))
