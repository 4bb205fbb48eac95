"""`prefmodel train` from end to end, on small real data: what it learns, leaves behind and refuses."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from benchmarks.family_bases import write_base as write_family_base
from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.files import read_pairs, sha256, write_pairs
from prefmodel.splits import split_of
from prefmodel.types import CONTRIBUTIONS
from tests.command import fails
from tests.small_base import write_base
from tests.small_run import BAD, ENVIRONMENT, GOOD, NOISE, SmallRun, log, same_weights, small_run, weights
from training.measure import accuracy_by_axiom, contributions
from training.model import PreferenceNet, load_tokenizer


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """A run from begin to end, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    result = small.train(out)
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture
def stopped(small, tmp_path):
    """A run that was stopped after 7 updates."""
    out = tmp_path / "run"
    result = small.train(out, "--max-steps", 7)
    assert result.exit_code == 0, result.output
    return out, result


def run_facts(out):
    return json.loads((out / "run.json").read_text())


def test_it_learns_the_preference(finished, small):
    out, _ = finished
    pairs = [pair for name in ("dev", "test") for pair in read_pairs(out / "heldout" / f"{name}.jsonl.gz")]
    assert len(pairs) >= 20
    encoder = PairEncoder(load_tokenizer(out), EncodingConfig(max_tokens=32, question_tokens=12))
    before, after = (
        accuracy_by_axiom(net, encoder, pairs, 1024)["human"]
        for net in (PreferenceNet.from_base(small.folder / "base"), PreferenceNet.from_checkpoint(out))
    )
    assert before < 0.75
    assert after > 0.95
    assert run_facts(out)["test_accuracy"]["human"] > 0.9
    assert log(out)[-1]["dev"]["human"] > 0.9


def test_the_loss_falls(finished):
    losses = [entry["loss"] for entry in log(finished[0])]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_every_update_teaches(finished, small, tmp_path):
    rates = [entry["rate"] for entry in log(finished[0])]
    assert min(rates) > 0
    assert max(rates) == pytest.approx(2e-3, rel=0.01)
    once = small.variant("once", epochs=1, step_pairs=1000, start=1.0)
    assert once.train(tmp_path / "run").exit_code == 0
    assert run_facts(tmp_path / "run")["updates"] == 1
    begun, learned = (
        load_file(small.folder / "base" / "model.safetensors"),
        load_file(tmp_path / "run" / "model.safetensors"),
    )
    moved = [name for name in begun if not torch.equal(begun[name], learned[name])]
    assert len(moved) > 20


def test_the_log_has_a_line_for_each_update(finished):
    out, result = finished
    entries = log(out)
    facts = run_facts(out)
    assert [entry["step"] for entry in entries] == list(range(1, facts["updates"] + 1))
    looks = [entry["step"] for entry in entries if "dev" in entry]
    assert looks == [*range(20, facts["updates"], 20), facts["updates"]]
    assert result.stdout == f"{out}\n"
    assert "\r" not in result.stderr  # no bars outside a terminal
    assert f"step {facts['updates']} of {facts['updates']}" in result.stderr


def test_the_record_tells_how_to_do_it_again(finished, small):
    out, _ = finished
    facts = run_facts(out)
    base = small.folder / "base"
    assert facts["base"] == facts["recipe"]["base"] == str(base)
    assert facts["base_sha256"] == sha256(base / "model.safetensors")
    assert facts["seed"] == facts["recipe"]["seed"] == 3
    assert facts["recipe"]["train"]["learning_rate"] == 2e-3
    assert facts["versions"]["torch"] == torch.__version__
    assert {"transformers", "tokenizers", "numpy", "prefmodel"} < facts["versions"].keys()
    files = {entry["file"]: entry for entry in facts["data"]["files"]}
    assert files.keys() == {"threads.jsonl", "labels.jsonl.gz"}
    assert files["labels.jsonl.gz"]["sha256"] == sha256(small.folder / "data" / "labels.jsonl.gz")
    assert [files[name]["licence"] for name in sorted(files)] == ["CC0", "not stated"]
    assert facts["data"]["left_out"]["sides equal after truncation"] == 1
    used = facts["data"]["pairs"]["train"]
    assert used.keys() == {"human", "usefulness"}
    assert facts["updates"] == 6 * -(-(sum(used.values()) - 1) // 16)


def test_the_record_of_a_base_is_kept(finished, small, tmp_path):
    """What a run began with may itself be one; a file of another kind beside a base is none of ours."""
    out, _ = finished
    base = tmp_path / "base"
    shutil.copytree(out, base)
    again = small.variant("again", base=base, epochs=1, start=1.0)
    assert again.train(tmp_path / "again").exit_code == 0
    assert run_facts(tmp_path / "again")["base_run"] == run_facts(out)
    (base / "run.json").write_text("[]")
    assert small.variant("other", base=base, epochs=1).train(tmp_path / "other").exit_code == 0
    assert run_facts(tmp_path / "other")["base_run"] is None


def test_the_heldout_pairs_are_kept(finished):
    out, _ = finished
    for name in ("dev", "test"):
        pairs = list(read_pairs(out / "heldout" / f"{name}.jsonl.gz"))
        assert {split_of(pair.question) for pair in pairs} == {name}
        assert sum(pair.axiom == "human" for pair in pairs) == run_facts(out)["data"]["pairs"][name]["human"]


def test_what_is_left_of_the_work(finished):
    out, _ = finished
    names = {path.name for path in out.iterdir()}
    model = {"config.json", "model.safetensors", "heads.safetensors", "tokenizer.json"}
    results = {"run.json", "log.jsonl", "curves.png", "evaluation"}
    assert names == model | results | {"recipe.json", "data.json", "heldout", "pairs"}


def test_transformers_loads_the_checkpoint(finished):
    out, _ = finished
    text = ("word1 word2?", "a careful and exact word3.")
    encoder = PairEncoder(load_tokenizer(out), EncodingConfig(max_tokens=32, question_tokens=12))
    ours = contributions(PreferenceNet.from_checkpoint(out), encoder, [encoder.encode(*text)], 64, bfloat16=False)
    model = AutoModelForSequenceClassification.from_pretrained(out)
    with torch.no_grad():
        theirs = model(**AutoTokenizer.from_pretrained(out)(*text, return_tensors="pt")).logits
    assert ours.sum() == pytest.approx(theirs.item(), abs=1e-5)


def test_a_shallower_model_learns_relevance_from_the_whole_base(small, tmp_path):
    shutil.copytree(small.folder, tmp_path / "small")
    mine = SmallRun(tmp_path / "small", tmp_path / "none")
    path = mine.folder / "data" / "labels.jsonl.gz"
    pairs = [replace(pair, principle="relevance") for pair in read_pairs(path)]
    write_pairs(path, pairs)
    encoder = PairEncoder(load_tokenizer(mine.folder / "base"), EncodingConfig(max_tokens=32, question_tokens=12))
    sides = [encoder.encode(pair.question, text) for pair in pairs for text in (pair.chosen, pair.rejected)]

    def margins(net):
        relevance = contributions(net, encoder, sides, 1024)[:, CONTRIBUTIONS.index("relevance")]
        return relevance[::2] - relevance[1::2]

    error = {}
    for distil in (0.0, 5.0):
        run = mine.variant("shallow", layers=1, start=1.0, objective={"separate": 0.1, "base_relevance": distil})
        out = tmp_path / f"out{distil:.0f}"
        assert run.train(out).exit_code == 0
        assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 1
        teacher = margins(PreferenceNet.teacher(mine.folder / "base"))
        error[distil] = ((margins(PreferenceNet.from_checkpoint(out)) - teacher) ** 2).mean()
    assert error[5.0] < 0.5 * error[0.0]


def test_another_seed_is_another_run(finished, small, tmp_path):
    out, _ = finished
    assert small.train(tmp_path / "run", "--seed", 4, "--max-steps", 2).exit_code == 0
    assert [entry["loss"] for entry in log(tmp_path / "run")] != [entry["loss"] for entry in log(out)[:2]]


def test_it_goes_on_where_it_stopped(finished, small, stopped):
    out, result = stopped
    total = run_facts(finished[0])["updates"]
    assert f"stopped after 7 of {total} updates; the same command goes on" in result.stderr
    assert not (out / "run.json").exists()
    assert small.train(out, "--max-steps", 6).exit_code == 0
    assert len(log(out)) == 13
    assert small.train(out).exit_code == 0
    assert same_weights(out, finished[0])
    assert [entry["loss"] for entry in log(out)] == [entry["loss"] for entry in log(finished[0])]
    assert not (out / "resume").exists()


def test_the_check_of_equal_weights_sees_a_difference(finished, tmp_path):
    """The tests of resuming would pass without it if the comparison did."""
    shutil.copytree(finished[0], tmp_path / "copy")
    heads = load_file(tmp_path / "copy" / "heads.safetensors")
    heads["bias"][0] += 1e-6
    save_file(heads, tmp_path / "copy" / "heads.safetensors")
    assert not same_weights(tmp_path / "copy", finished[0])


def test_a_finished_run_is_not_touched(finished, small):
    out, _ = finished
    before = weights(out)
    fails(small.train(out), "finished run", "allowed: a new folder")
    assert weights(out).keys() == before.keys()


def test_a_run_with_another_recipe_is_refused(small, stopped):
    out, _ = stopped
    fails(small.train(out, "--seed", 5), f"output is {out}, where a run with another recipe began")


@pytest.mark.parametrize("name", ["labels.jsonl.gz", "eval.jsonl"])
def test_a_run_with_other_data_is_refused(small, stopped, tmp_path, name):
    out, _ = stopped
    other = tmp_path / "data"
    shutil.copytree(small.folder / "data", other)
    pairs = list(read_pairs(other / name))
    write_pairs(other / name, reversed(pairs))
    before = log(out)
    result = small.train(out, "--data", other)
    assert result.exit_code == 1
    assert f"error: output is {out}, where a run with other data began" in result.stderr
    assert log(out) == before


def test_a_run_that_an_earlier_version_began_goes_on(small, stopped):
    """Its report has no hashes of excluded files."""
    out, _ = stopped
    report = json.loads((out / "data.json").read_text())
    [excluded] = report.pop("excluded")
    assert [excluded["file"]] == report["excluded_files"]
    assert excluded["sha256"] == sha256(small.folder / "data" / "eval.jsonl")
    (out / "data.json").write_text(json.dumps(report))
    assert small.train(out, "--max-steps", 1).exit_code == 0


def test_a_foreign_folder_is_refused(small, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fails(small.train(tmp_path), "which is not empty; allowed: a new folder")
    fails(small.train(tmp_path / "notes.txt"), "notes.txt; allowed: a folder")
    fails(small.train(tmp_path / "notes.txt" / "run"), f"but {tmp_path / 'notes.txt'} is a file; allowed: a new")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_base_that_changed_is_no_base_to_go_on_from(small, tmp_path):
    base, out = tmp_path / "base", tmp_path / "run"
    shutil.copytree(small.folder / "base", base)
    assert small.train(out, "--base", base, "--max-steps", 2).exit_code == 0
    file = base / "model.safetensors"
    kept = file.read_bytes()
    save_file({name: 2 * weight for name, weight in load_file(file).items()}, file, {"format": "pt"})
    refused = small.train(out, "--base", base, "--max-steps", 2)
    fails(refused, "base has other weights than when the run began; allowed: the same")
    file.write_bytes(kept)
    assert small.train(out, "--base", base, "--max-steps", 2).exit_code == 0


def test_one_process_trains_in_a_folder(small, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    with FileLock(out / "lock"):
        refused = small.train(out)
        assert refused.stderr.endswith(f"error: output is {out}, where another process trains; allowed: a new folder\n")
    assert small.train(out, "--max-steps", 2).exit_code == 0  # what a kill leaves of the lock is no hindrance
    assert not (out / "lock").exists()


def test_a_base_that_is_not_there_leaves_no_folder(small, tmp_path):
    fails(small.train(tmp_path / "run", "--base", tmp_path / "nowhere"), "nowhere: no tokenizer.json")
    assert not (tmp_path / "run").exists()


def test_files_that_are_not_there_are_told(small, tmp_path):
    result = small.train(tmp_path / "run", "--data", tmp_path)
    assert result.exit_code == 1
    assert f"error: {tmp_path / 'threads.jsonl'}: no such file" in result.stderr
    fails(small.variant("typo", epocs=3).train(tmp_path / "run"), "train.epocs is unknown; allowed: epochs, ")
    assert not (tmp_path / "run").exists()


def test_weights_that_are_no_numbers_stop_the_run(small, tmp_path):
    base = write_base(tmp_path / "base", [" ".join((*GOOD, *NOISE))])
    tensors = load_file(base / "model.safetensors")
    tensors["bert.pooler.dense.weight"][:] = float("nan")
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    result = small.train(tmp_path / "run", "--base", base)
    assert result.exit_code == 1
    assert "the loss is nan" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "resume").exists()


def test_an_absurd_learning_rate_keeps_the_last_state(small, tmp_path):
    out = tmp_path / "run"
    result = small.variant("absurd", learning_rate=1e30, save_every=1).train(out)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: the loss is ")
    assert "train.learning_rate may be too high" in last
    assert json.loads((out / "resume" / "state.json").read_text())["step"] == log(out)[-1]["step"] >= 1
    assert all(t.isfinite().all() for t in load_file(out / "resume" / "state.safetensors").values())
    assert not (out / "run.json").exists()


def test_pairs_that_are_all_equal_after_truncation_are_told(small, tmp_path):
    (tmp_path / "data").mkdir()
    cut = [pair for pair in read_pairs(small.folder / "data" / "labels.jsonl.gz") if pair.source == "cut"]
    write_pairs(tmp_path / "data" / "labels.jsonl", cut)
    (tmp_path / "data" / "threads.jsonl").touch()
    (tmp_path / "data" / "eval.jsonl").touch()
    result = small.train(tmp_path / "run", "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert "the sides of all 1 training pairs are equal after truncation" in result.stderr


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"weights": {"humen": 9.0}}, "objective.weights holds 'humen', of which there are no pairs"),
        ({"margins": {"strength": 1.0, "usefullness": 5.0}}, "objective.margins holds 'usefullness', of which there"),
        ({"loss": "hinge"}, "objective.loss is 'hinge', and there are pairs without margin of human; "),
        (
            {"loss": "hinge", "margin_scale": 0.0},
            "objective.loss is 'hinge', and there are pairs without margin of ",
        ),
    ],
)
def test_what_an_objective_gets_wrong_is_told_before_a_run_begins(small, tmp_path, objective, message):
    result = small.variant("wrong", objective=objective).train(tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("kind", "most"), [("bert", 64), ("roberta", 40), ("mpnet", 512)])
def test_inputs_longer_than_the_base_reads_are_told(small, tmp_path, kind, most):
    """RoBERTa and MPNet pad with 1, and have two positions that no token gets."""
    base = small.folder / "base"
    if kind != "bert":
        base = write_family_base(tmp_path / "base", "mpnet-base", [" ".join((*GOOD, *BAD, *NOISE))], small=True)
    if kind == "roberta":
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        config = RobertaConfig(vocab_size=500, max_position_embeddings=most + 2, num_labels=1, **sizes)
        RobertaForSequenceClassification(config).save_pretrained(base)
    run = small.variant(kind, base=base)
    text = run.recipe.read_text(encoding="utf-8")
    run.recipe.write_text(text.replace("max_tokens = 32", f"max_tokens = {most + 1}"), encoding="utf-8")
    fails(run.train(tmp_path / "run"), f"encoding.max_tokens is {most + 1}; this base reads at most {most}: ")
    assert not (tmp_path / "run").exists()
    run.recipe.write_text(text.replace("max_tokens = 32", f"max_tokens = {most}"), encoding="utf-8")
    assert run.train(tmp_path / "run", "--max-steps", 1).exit_code == 0


def test_without_torch_the_extra_is_named(small, tmp_path):
    code = "import sys; sys.modules['torch'] = None; from prefmodel.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *small.arguments(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "pip install 'prefmodel[train]'" in result.stderr
    assert result.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []
