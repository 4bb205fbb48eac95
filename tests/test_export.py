"""Export: a trained checkpoint becomes a bundle that gives the same scores, or none is written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification

from export.bundle import ANCHOR_PAIRS, TRUSTED_PAIRS, trust
from export.bundle import export as export_bundle
from export.calibrate import doubt, fit_temperature
from export.parity import check, parity
from prefmodel import PreferenceModel
from prefmodel.bundle import Bundle, write_manifest
from prefmodel.bundle_files import TORCH
from prefmodel.cli import main
from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import BundleError, PrefModelError
from prefmodel.files import read_pairs, write_pairs
from prefmodel.types import CONTRIBUTIONS
from tests.small_run import SmallRun, labels, small_run
from training.model import PreferenceNet, load_tokenizer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose held-out labels are enough for the gate."""
    folder = tmp_path_factory.mktemp("trained")
    run: SmallRun = small_run(folder / "in")
    done = run.variant("short", epochs=3).train(folder / "run")
    assert done.exit_code == 0, done.output
    for name, seed in (("dev", 8), ("test", 9)):
        write_pairs(folder / "run" / "heldout" / f"{name}.jsonl.gz", labels(Random(seed), 1000))
    return folder / "run"


@pytest.fixture(scope="module")
def exported(trained: Path) -> tuple[Path, Result]:
    done = export(trained, trained.parent / "bundle")
    assert done.exit_code == 0, done.output
    return trained.parent / "bundle", done


def export(checkpoint: Path, out: Path, *more: object) -> Result:
    return CliRunner().invoke(main, ["export", str(checkpoint), "-o", str(out), *map(str, more)])


def test_graph_gives_the_scores_of_the_checkpoint(trained: Path, exported: tuple[Path, Result]) -> None:
    pairs = list(read_pairs(trained / "heldout" / "test.jsonl.gz"))[:50]
    questions, answers = [p.question for p in pairs], [p.chosen for p in pairs]
    model = PreferenceModel.from_pretrained(exported[0], precision="float32")
    got = model.score(questions, answers)

    plain = AutoModelForSequenceClassification.from_pretrained(trained).eval()
    encoder = model.bundle.encoder()
    batch = encoder.pad(encoder.encode_batch(questions, answers))
    with torch.no_grad():
        want = plain(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits[:, 0].numpy()
    shift = got - want  # the bundle's zero is the mean of the development answers
    assert np.ptp(shift) < 1e-3
    assert np.std(want) > 0.1


def test_contributions_sum_to_the_score_and_have_zero_mean(trained: Path, exported: tuple[Path, Result]) -> None:
    pairs = list(read_pairs(trained / "heldout" / "dev.jsonl.gz"))[:ANCHOR_PAIRS]
    model = PreferenceModel.from_pretrained(exported[0], precision="float32")
    sides = [p.chosen for p in pairs] + [p.rejected for p in pairs]
    scores = model.score_batch([p.question for p in pairs] * 2, sides)
    assert model.bundle.contributions == CONTRIBUTIONS
    assert scores.contributions.sum(1) == pytest.approx(scores.scores, abs=1e-4)
    # The zero is set with bfloat16 scores, so it is met to about two digits.
    assert scores.contributions.mean(0) == pytest.approx(np.zeros(6), abs=0.02)
    assert np.abs(scores.contributions).max() > 0.5


def test_pairs_without_a_better_side_are_not_measured(trained: Path, tmp_path: Path) -> None:
    pairs = list(read_pairs(trained / "heldout" / "test.jsonl.gz"))
    equal = [replace(pair, axiom="invariance", target=0.5) for pair in pairs[:300]]
    write_pairs(tmp_path / "pairs.jsonl", [*pairs, *pairs, *equal])
    done = export(trained, tmp_path / "out", "--heldout", tmp_path / "pairs.jsonl", "--precision", "float32")
    assert done.exit_code == 0, done.output
    accuracy = Bundle.open(tmp_path / "out").info["training"]["accuracy"]
    assert accuracy["axioms"].keys() == {"human"}
    assert accuracy["contributions"]["general"]["general"] > 0.9
    assert [path.name for path in (tmp_path / "out" / "onnx").iterdir()] == ["model.onnx"]  # the one that was asked for


def test_int8_is_the_default_and_close(exported: tuple[Path, Result]) -> None:
    bundle = Bundle.open(exported[0])
    assert bundle.precision == "int8"
    kinds = {node.op_type for node in onnx.load(bundle.onnx).graph.node}
    assert "MatMulIntegerToFloat" in kinds
    facts = bundle.info["training"]["parity"]["int8"]
    assert facts["pairs"] == 1000
    assert facts["flipped"] <= 0.02
    assert facts["tau"] >= 0.97
    assert facts["max_difference"] > 0


def test_what_is_measured_is_said_and_recorded(exported: tuple[Path, Result]) -> None:
    folder, done = exported
    assert done.stdout.strip() == str(folder)
    for pattern in (r"temperature \d", r"float32: 1000 pairs: largest difference", r"int8: 1000 pairs.*Kendall tau"):
        assert re.search(pattern, done.stderr)
    facts = Bundle.open(folder).info["training"]
    assert facts["accuracy"]["axioms"]["human"]["accuracy"] > 0.9
    assert facts["accuracy"]["axioms"]["human"]["bm25"] < 0.6
    assert facts["accuracy"]["contributions"]["general"]["general"] > 0.9
    assert set(facts["accuracy"]["trusted"]) <= set(CONTRIBUTIONS)
    assert facts["pairs"]["human"] > 100
    assert facts["data"][0]["sha256"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "CC0" in card
    assert f"{facts['accuracy']['axioms']['human']['accuracy']:.3f}" in card


def test_temperature_is_that_of_the_human_labels(trained: Path, exported: tuple[Path, Result]) -> None:
    pairs = list(read_pairs(trained / "heldout" / "dev.jsonl.gz"))
    model = PreferenceModel.from_pretrained(exported[0], precision="float32")
    questions = [p.question for p in pairs]
    margins = model.score(questions, [p.chosen for p in pairs]) - model.score(questions, [p.rejected for p in pairs])
    assert model.bundle.temperature == pytest.approx(fit_temperature(margins), rel=0.02)


def test_graphs_stay_when_a_later_step_is_stopped(trained: Path, tmp_path: Path) -> None:
    def stop_at_the_card(text: str) -> None:
        if "for its card" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(trained, tmp_path / "out", precisions=["float32"], say=stop_at_the_card)
    model = PreferenceModel.from_pretrained(tmp_path / "out")
    assert np.isfinite(model.score("Who brews beer?", "Brewers do."))
    assert "float32" in model.bundle.info["training"]["parity"]


def test_int8_alone(trained: Path, tmp_path: Path) -> None:
    assert export(trained, tmp_path / "int8", "--precision", "int8").exit_code == 0
    assert not (tmp_path / "int8" / "onnx" / "model.onnx").exists()
    assert PreferenceModel.from_pretrained(tmp_path / "int8").bundle.precision == "int8"


def test_too_few_pairs_for_int8(trained: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "few.jsonl", labels(Random(4), 500))
    done = export(trained, tmp_path / "out", "--heldout", tmp_path / "few.jsonl")
    assert done.exit_code == 1
    assert "250 pairs; allowed: at least 1000" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_plain_classifier_counts_as_relevance(trained: Path, tmp_path: Path) -> None:
    base = trained.parent / "in" / "base"
    done = export(base, tmp_path / "out", "--heldout", trained / "heldout" / "test.jsonl.gz", "--precision", "float32")
    assert done.exit_code == 0, done.output
    model = PreferenceModel.from_pretrained(tmp_path / "out")
    explanation = model.explain("word1 word2?", "word3 clear.")
    assert explanation.contributions["relevance"] == pytest.approx(explanation.score, abs=1e-4)
    assert explanation.score != 0


@pytest.mark.parametrize("kind", ["missing", "empty", "no held-out pairs", "broken record"])
def test_no_checkpoint(kind: str, trained: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    said = {
        "missing": "allowed: a folder",
        "empty": "cannot be loaded as a model",
        "no held-out pairs": "name files of pairs with --heldout",
        "broken record": "run.json: not the record of a run",
    }
    if kind == "empty":
        checkpoint.mkdir()
    elif kind != "missing":
        shutil.copytree(trained, checkpoint)
        if kind == "no held-out pairs":
            shutil.rmtree(checkpoint / "heldout")
        else:
            (checkpoint / "run.json").write_text("{}")
    done = export(checkpoint, tmp_path / "out")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert said[kind] in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("pairs", "trusted"), [(1, []), (TRUSTED_PAIRS - 1, []), (TRUSTED_PAIRS, ["relevance"])])
def test_a_contribution_is_trusted_on_pairs_enough(pairs: int, trusted: list[str]) -> None:
    margins = np.full((pairs, len(CONTRIBUTIONS)), -1, np.float32)
    margins[:, CONTRIBUTIONS.index("relevance")] = 1
    table, found = trust(margins, ["relevance"] * pairs)
    assert (table["relevance"]["relevance"], table["relevance"]["general"]) == (1, 0)
    assert found == trusted


def test_output_that_exists_is_refused(exported: tuple[Path, Result], trained: Path) -> None:
    before = (exported[0] / "prefmodel.json").read_bytes()
    done = export(trained, exported[0])
    assert done.exit_code == 1
    assert "which exists; allowed: a new folder" in done.stderr
    assert (exported[0] / "prefmodel.json").read_bytes() == before
    below = exported[0] / "prefmodel.json" / "bundle"
    done = export(trained, below)
    assert done.stderr == f"error: output is {below}, but {below.parent} is a file; allowed: a new folder\n"


def test_bundle_config_has_one_label(exported: tuple[Path, Result]) -> None:
    config = json.loads((exported[0] / "config.json").read_text())
    assert config["id2label"] == {"0": "score"}


def scores(seed: int, noise: float, pairs: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(2, pairs)).astype(np.float32)
    return first, (first + noise * rng.normal(size=(2, pairs))).astype(np.float32)


def test_gate_lets_small_noise_through_and_stops_large() -> None:
    check(parity(*scores(0, 0.01), temperature=1.0))
    with pytest.raises(PrefModelError, match=r"flips .* of the clear pairs; allowed: at most 2%"):
        check(parity(*scores(0, 0.5), temperature=1.0))
    with pytest.raises(PrefModelError, match=r"Kendall tau .* at least 0\.97"):
        check(parity(*scores(0, 0.06), temperature=1.0))
    with pytest.raises(PrefModelError, match="999 pairs; allowed: at least 1000"):
        check(parity(*scores(0, 0.01, pairs=999), temperature=1.0))


def test_parity_by_hand() -> None:
    first = np.array([[1.0, 1.0, 1.0, 0.1], [0.0, 0.0, 0.0, 0.0]], np.float32)
    second = np.array([[1.0, 1.0, -1.0, -0.1], [0.0, 0.0, 0.0, 0.0]], np.float32)
    result = parity(first, second, temperature=1.0)
    assert (result.clear, result.flipped) == (3, pytest.approx(1 / 3))
    assert (result.accuracy, result.accuracy_change) == (1.0, -0.5)
    assert result.max_difference == 2.0


@given(st.floats(0.2, 5), st.integers(0, 1000))
def test_temperature_recovers_the_scale(true: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    margins = rng.normal(scale=2 * true, size=4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-margins / true))
    labelled = np.where(right, margins, -margins).astype(np.float32)
    assert fit_temperature(labelled) == pytest.approx(true, rel=0.25)
    said_otherwise = fit_temperature(margins.astype(np.float32), right.astype(np.float32))
    assert said_otherwise == pytest.approx(fit_temperature(labelled), rel=1e-4)
    some = labelled[:1052]  # as many as the default model was fitted on
    assert fit_temperature(some) == pytest.approx(fit_temperature(np.tile(some, 100)), rel=0.01)


@pytest.mark.parametrize(
    ("margins", "low", "high"),
    [([3.0] * 5, 0.5, 1.0), ([0.5] * 5, 0.15, 1.0), ([-3.0] * 5, 2.0, 50.0), ([3.0] * 150, 0.3, 0.5), ([], 1.0, 1.0)],
)
def test_labels_that_agree_are_not_taken_for_certainty(margins: list[float], low: float, high: float) -> None:
    assert low <= round(fit_temperature(np.array(margins, np.float32)), 3) <= high


def test_what_speaks_against_a_temperature() -> None:
    opposite = fit_temperature(np.full(500, -3.0, np.float32))
    assert doubt(opposite, 500) == ", which the scores agree with no better than chance does"
    assert doubt(2.0, 500) == ""
    assert doubt(2.0, 50).startswith(", which are few")


def test_an_int8_score_does_not_depend_on_its_batch(trained: Path, exported: tuple[Path, Result]) -> None:
    pairs = list(read_pairs(trained / "heldout" / "test.jsonl.gz"))[:20]
    model = PreferenceModel.from_pretrained(exported[0], precision="int8")
    together = model.score([p.question for p in pairs], [p.chosen for p in pairs])
    alone = [model.score(p.question, p.chosen) for p in pairs]
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_graph_tells_nothing_of_the_machine(exported: tuple[Path, Result]) -> None:
    for path in (exported[0] / "onnx").iterdir():
        assert str(Path(torch.__file__).parent).encode() not in path.read_bytes()


def unpack(bundle: Path | None, out: Path, *more: object) -> Result:
    named = [] if bundle is None else [str(bundle)]
    return CliRunner().invoke(main, ["unpack", *named, "-o", str(out), *map(str, more)])


def torch_contributions(checkpoint: Path, encoding: EncodingConfig, questions: list[str], answers: list[str]):
    net = PreferenceNet.from_checkpoint(checkpoint).eval()
    encoder = PairEncoder(load_tokenizer(checkpoint), encoding)
    batch = encoder.pad(encoder.encode_batch(questions, answers))
    with torch.inference_mode():
        return net(**{name: torch.from_numpy(value) for name, value in batch.items()}).numpy()


@pytest.mark.parametrize(("precision", "allowed"), [("float32", 1e-5), ("int8", 0.05)])
def test_an_unpacked_bundle_gives_its_scores_in_torch(
    exported: tuple[Path, Result], trained: Path, tmp_path: Path, precision: str, allowed: float
) -> None:
    done = unpack(exported[0], tmp_path / "checkpoint", "--precision", precision)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'checkpoint'}\n"
    model = PreferenceModel.from_pretrained(exported[0], precision=precision)
    pairs = list(read_pairs(trained / "heldout" / "test.jsonl.gz"))[:50]
    questions, answers = [p.question for p in pairs], [p.chosen for p in pairs]
    served = model.score_batch(questions, answers).contributions
    got = torch_contributions(tmp_path / "checkpoint", model.bundle.encoder().config, questions, answers)
    assert np.abs(got - served).mean() < allowed * served.std()


def test_an_unpacked_bundle_is_a_base_and_can_be_exported(
    exported: tuple[Path, Result], trained: Path, tmp_path: Path
) -> None:
    done = unpack(exported[0], tmp_path / "checkpoint")
    assert done.exit_code == 0, done.output
    assert "[encoding] max_tokens = " in done.stderr
    heads = PreferenceNet.from_checkpoint(tmp_path / "checkpoint").heads
    base = PreferenceNet.from_base(tmp_path / "checkpoint", start=0.5).heads
    assert torch.equal(base.weight, heads.weight * 0.5)  # all heads go along, not their sum
    assert torch.equal(base.bias, heads.bias * 0.5)
    pairs = trained / "heldout" / "test.jsonl.gz"
    done = export(tmp_path / "checkpoint", tmp_path / "again", "--heldout", pairs, "--precision", "float32")
    assert done.exit_code == 0, done.output


def test_weights_kept_for_torch_are_taken_as_they_are(trained: Path, tmp_path: Path) -> None:
    assert export(trained, tmp_path / "bundle", "--torch", "--precision", "float32").exit_code == 0
    assert unpack(tmp_path / "bundle", tmp_path / "checkpoint").exit_code == 0
    for name in TORCH:
        assert (tmp_path / "checkpoint" / name).read_bytes() == (tmp_path / "bundle" / name).read_bytes()


def test_a_folder_that_exists_is_not_unpacked_to(exported: tuple[Path, Result], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    done = unpack(exported[0], tmp_path)
    assert done.exit_code == 1
    assert done.stderr == f"error: output is {tmp_path}, which exists; allowed: a new folder\n"
    done = unpack(exported[0], tmp_path / "mine.txt" / "sub")
    assert done.stderr.startswith(f"error: output is {tmp_path / 'mine.txt' / 'sub'}, but {tmp_path / 'mine.txt'} is a")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def with_manifest(bundle: Path, names: Iterable[str] = CONTRIBUTIONS) -> Path:
    """Write the manifest of a bundle whose files were changed."""
    info = json.loads((bundle / "prefmodel.json").read_text())
    write_manifest(bundle, EncodingConfig(**info["encoding"]), tuple(names), 1.0, info["training"])
    return bundle


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_hidden_layers": 3}, "the graph has no weight classifier."),
        ({"hidden_act": "relu"}, "the graph's scores differ from those of the network of config.json"),
        ({"hidden_act": "none-such"}, "config.json: no network of transformers"),
        ({"hidden_size": "x"}, "config.json: no network of transformers"),
        ({"model_type": "none-such"}, "config.json: no network of transformers"),
        ({"model_type": "none-such", "auto_map": {"AutoConfig": "own.Config"}}, "config.json: no network of trans"),
    ],
    ids=str,
)
def test_a_bundle_of_another_network_is_not_unpacked(
    exported: tuple[Path, Result], tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(exported[0], other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | change))
    (other / "own.py").write_text("raise SystemExit('code of the bundle ran')")
    done = unpack(with_manifest(other), tmp_path / "checkpoint")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {other}: {reason}")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "checkpoint").exists()


def test_a_hostile_graph_is_not_unpacked(exported: tuple[Path, Result], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(exported[0], other)
    for content, reason in ((b"no graph", "onnx/model.onnx"), (b"", "onnx/model.onnx")):
        (other / "onnx" / "model.onnx").write_bytes(content)
        done = unpack(with_manifest(other), tmp_path / "checkpoint")
        assert done.exit_code == 1
        assert done.stderr.startswith("error: ")
        assert reason in done.stderr
    graph = onnx.load(str(exported[0] / "onnx" / "model.onnx"))
    onnx.save(graph, str(other / "onnx" / "model.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    done = unpack(with_manifest(other), tmp_path / "checkpoint")
    assert "external_data" in done.stderr
    assert not (tmp_path / "checkpoint").exists()


def test_a_precision_that_a_bundle_lacks_is_named(exported: tuple[Path, Result], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(exported[0], other)
    (other / "onnx" / "model.onnx").unlink()
    done = unpack(with_manifest(other), tmp_path / "checkpoint", "--precision", "float32")
    assert done.stderr == "error: precision is float32; allowed with this bundle: int8\n"


def test_contributions_of_other_names_are_not_unpacked(exported: tuple[Path, Result], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(exported[0], other)
    done = unpack(with_manifest(other, CONTRIBUTIONS[::-1]), tmp_path / "checkpoint")
    assert "contributions are general, " in done.stderr


def test_heads_that_do_not_fit_are_told(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "checkpoint")
    save_file({"weight": torch.zeros(6, 3), "bias": torch.zeros(6)}, tmp_path / "checkpoint" / "heads.safetensors")
    for load in (PreferenceNet.from_base, PreferenceNet.from_checkpoint):
        with pytest.raises(BundleError, match=r"heads\.safetensors: damaged: "):
            load(tmp_path / "checkpoint")
