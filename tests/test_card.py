"""`prefmodel card`: the card in the Hub's format, from what other commands printed."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import ModelCard

from prefmodel.files import write_pairs
from prefmodel.types import PreferencePair
from tests.command import fails

PAIRS = [
    PreferencePair(f"Why {i}?", "sky " * (i % 3 + 2), "blue", axiom="human", source="demo", provenance={"gpt4": i % 2})
    for i in range(12)
]
NEITHER = [
    PreferencePair(f"Why {i}?", f"Ask him {i}.", f"Ask her {i}.", axiom="invariance", source="demo", target=0.5)
    for i in range(4)
]


@pytest.fixture
def printed(run, tmp_path):
    """What the other commands printed of the tiny bundle."""
    write_pairs(tmp_path / "people.jsonl", PAIRS)
    write_pairs(tmp_path / "neither.jsonl", NEITHER)
    assert run("evaluate", tmp_path / "people.jsonl", "--report", tmp_path / "report").exit_code == 0
    found = run("invariance", tmp_path / "neither.jsonl", "--format", "markdown")
    (tmp_path / "invariance.md").write_text(found.stdout)
    (tmp_path / "ablation.md").write_text("# Ablation of the axioms\n\n| rung | human |\n| --- | --- |\n| all | .9 |\n")
    (tmp_path / "speed.md").write_text("A CPU, 2 cores.\n\n| backend | MiB |\n| --- | --- |\n| onnxruntime | 9 |\n")
    (tmp_path / "notes.md").write_text("# Notes\n\n## Scale and limits\n\nIt is tiny.\n")
    return tmp_path


@pytest.fixture
def card(run, printed):
    def card(*more):
        return run("card", "-o", printed / "card.md", *more)

    return card


def test_a_bundle_alone_has_a_card_that_the_hub_reads(card, printed):
    result = card()
    assert (result.exit_code, result.stdout) == (0, f"{printed / 'card.md'}\n")
    found = ModelCard.load(printed / "card.md")
    assert (found.data.license, found.data.library_name, found.data.pipeline_tag) == (
        "apache-2.0",
        "prefmodel",
        "text-ranking",
    )
    assert found.data.eval_results is None
    assert "## Scale and limits" in found.text
    assert "## Whether it can be fooled" not in found.text


def test_what_was_measured_stands_in_the_card_and_in_its_index(card, printed):
    options = ("--evaluation", printed / "report", "--invariance", printed / "invariance.md")
    options += ("--ablation", printed / "ablation.md", "--speed", printed / "speed.md")
    result = card(*options, "--notes", printed / "notes.md")
    assert result.exit_code == 0, result.stderr
    found = ModelCard.load(printed / "card.md")
    accuracy = json.loads((printed / "report" / "results.json").read_text())["files"]["people"]["accuracy"]["model"]
    [index] = found.data.eval_results
    assert (index.dataset_name, index.metric_type) == ("people", "accuracy")
    assert index.metric_value == pytest.approx(accuracy["value"], abs=1e-4)
    assert index.metric_args["pairs"] == 12
    table = (printed / "report" / "results.md").read_text().split("\n\n")[1]
    assert f"## On human labels that were not trained on\n\n{table}" in found.text
    assert "RewardBench 2 and RM-Bench" in found.text
    assert f"## What must not move it\n\n{(printed / 'invariance.md').read_text()}" in found.text
    assert "## What each axiom is worth\n\n| rung | human |" in found.text
    assert "Ablation of the axioms" not in found.text
    assert f"## Speed\n\n{(printed / 'speed.md').read_text()}" in found.text
    assert found.text.rstrip().endswith("It is tiny.")


def test_the_picture_of_an_ablation_goes_with_the_card(card, printed):
    text = "# Ablation\n\n![Accuracy of each rung](ablation.png)\n\n| rung |\n| --- |\n| all |\n"
    (printed / "found").mkdir()
    (printed / "found" / "ablation.md").write_text(text)
    options = ("--ablation", printed / "found" / "ablation.md")
    fails(card(*options), "ablation.png cannot be read")
    assert not (printed / "card.md").exists()
    (printed / "found" / "ablation.png").write_bytes(b"a picture")
    (printed / "images").mkdir()
    for more, place in [((), "ablation.png"), (("--pictures", printed / "images"), "images/ablation.png")]:
        assert card(*options, *more).exit_code == 0
        assert f"![Accuracy of each rung]({place})\n" in ModelCard.load(printed / "card.md").text
        assert (printed / place).read_bytes() == b"a picture"


def test_where_the_longer_answer_is_better_is_said_first(run, card, printed, copied_bundle):
    (copied_bundle / "NOTICE.md").write_text("# Title\n\nIts start was dequantised.\n")
    options = ("--evaluation", printed / "report")
    assert run("card", "-o", printed / "card.md", *options, model=copied_bundle).exit_code == 0
    text = ModelCard.load(printed / "card.md").text
    first = text[text.index("## ") :].split("\n## ")[0]
    assert first.startswith("## Read first\n\nIts start was dequantised.")
    assert "agrees with people more often than GPT-4's own labels does on `people` (1.000, against 0.500)." in first


def test_what_cannot_be_read_is_told(card, printed):
    fails(card("--probes", printed / "no.md"), "no.md cannot be read")
    fails(card("--evaluation", printed), "results.json cannot be read")
    (printed / "report" / "results.json").write_text("{")
    fails(card("--evaluation", printed / "report"), "results.json: no JSON")
    (printed / "report" / "results.json").write_text("[1]")
    fails(card("--evaluation", printed / "report"), "results.json: no files; allowed: ")
    (printed / "report" / "results.json").write_text('{"files": {"people": {"pairs": 3}}}')
    fails(card("--evaluation", printed / "report"), "results.json: no accuracy of 'people'; allowed: ")
    (printed / "notes.md").write_text("## Scale and limits\n\nOne.\n\n## Scale and limits\n\nTwo.\n")
    fails(card("--notes", printed / "notes.md"), "--notes has the section 'Scale and limits' twice; allowed: once")
    (printed / "notes.md").write_text("## Nowhere\n\nLost.\n")
    fails(card("--notes", printed / "notes.md"), "a note is for the section 'Nowhere'; allowed: ")
    assert not (printed / "card.md").exists()


def test_results_of_another_model_or_on_what_was_trained_on_are_refused(run, card, printed, copied_bundle):
    options = ("--evaluation", printed / "report")
    manifest = copied_bundle / "prefmodel.json"
    info = json.loads(manifest.read_text())
    results = json.loads((printed / "report" / "results.json").read_text())
    read = {"file": "people.jsonl", "licence": "CC0", "sha256": results["about"]["files"]["people"]["sha256"]}
    info["training"] = {"base": "some/start", "before": {"base": "some/start", "data": [read]}}
    manifest.write_text(json.dumps(info))
    refused = run("card", "-o", printed / "card.md", *options, model=copied_bundle)
    fails(refused, "results.json: people was trained on; allowed: an evaluation of files that were not")
    results["about"]["models"]["model"]["graph"]["sha256"] = "0" * 64
    (printed / "report" / "results.json").write_text(json.dumps(results))
    fails(card(*options), "results.json: is of another model; allowed: an evaluation of ")
    (printed / "empty.md").write_text("\n")
    fails(card("--probes", printed / "empty.md"), "empty.md is empty; allowed: ")
    notes = printed / "notes.md"
    fails(card("--notes", notes, "-o", notes), f"output is {notes}, which is read, too; allowed: another name")
    assert "It is tiny." in notes.read_text()
    fails(card(*options, "-o", printed / "report" / "results.md"), "results.md, which is read, too")


def test_a_model_that_was_trained_twice_tells_of_both(run, copied_bundle, tmp_path):
    """Files, pairs and updates of the run behind its base count as well."""

    def training(file, updates, excluded, **pairs):
        train = {"step_pairs": 32, "learning_rate": 1e-4}
        files = [{"file": file, "licence": "CC0", "sha256": "ab" * 32}]
        facts = {"recipe": {"train": train, "seed": 5}, "data": files, "excluded_files": excluded, "pairs": pairs}
        return facts | {"updates": updates, "hours": 0.1, "device": "cpu"}

    info = json.loads((copied_bundle / "prefmodel.json").read_text())
    first = training("first.jsonl", 700, ["eval.jsonl", "more.jsonl"], human=9, relevance=40) | {"base": "some/start"}
    info["training"] = training("second.jsonl", 30, ["eval.jsonl"], human=5) | {"base": "first", "before": first}
    info["training"]["recipe"]["train"]["blend"] = 0.25
    (copied_bundle / "prefmodel.json").write_text(json.dumps(info))
    assert run("card", "-o", tmp_path / "card.md", model=copied_bundle).exit_code == 0
    text = ModelCard.load(tmp_path / "card.md").text
    assert "Starting point: `some/start`. Trained for 700 updates" in text
    assert "Then trained on for 30 updates" in text
    assert text.count("The weights are 0.25 of the way from before to after it.\n") == 1
    info["training"]["recipe"]["train"]["blend_base"] = "some/start"
    (copied_bundle / "prefmodel.json").write_text(json.dumps(info))
    assert run("card", "-o", tmp_path / "card.md", model=copied_bundle).exit_code == 0
    text = ModelCard.load(tmp_path / "card.md").text
    assert text.count("The weights are 0.25 of the way from `some/start` to after it.\n") == 1
    assert "| first.jsonl |" in text
    assert "| second.jsonl |" in text
    assert "was trained on: eval.jsonl.\n" in text  # both trainings left it out
    assert "| human | 9 | 5 |\n| relevance | 40 | 0 |" in text
    # What the model behind train.blend_base was trained on is in the weights as well.
    other = training("third.jsonl", 8, [], human=3) | {"base": "some/start"}
    info["training"]["blended_with"] = other
    (copied_bundle / "prefmodel.json").write_text(json.dumps(info))
    assert run("card", "-o", tmp_path / "card.md", model=copied_bundle).exit_code == 0
    text = ModelCard.load(tmp_path / "card.md").text
    assert "to after it. That model was trained for 8 updates" in text
    assert "| third.jsonl |" in text
    assert "| axiom | pairs | in training 2 | behind `train.blend_base` |" in text
    assert "| human | 9 | 5 | 3 |\n| relevance | 40 | 0 | 0 |" in text
    assert "was trained on: none.\n" in text
