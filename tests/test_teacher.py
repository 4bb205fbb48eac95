"""Teachers: what may be one, the scores that are kept of it while they are made, and what an error says."""

import signal
import subprocess
import time
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification, BertModel

from prefmodel.encoding import EncodingConfig
from prefmodel.errors import FileFormatError, InputError, PrefModelError
from prefmodel.files import read_pairs, write_pairs, write_threads
from prefmodel.model import PreferenceModel
from prefmodel.types import Answer, Thread
from tests.small_base import small_bert, write_base
from tests.small_distil import WORDS, distilled, recipe, small_distil, written
from tests.small_run import ENVIRONMENT, NOISE


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_distil(tmp_path_factory.mktemp("small"))


def test_a_bundle_teaches_its_probabilities(small, tiny_bundle, tmp_path):
    pairs, run = distilled(recipe(small, tiny_bundle, pairs=20), small / "data", tmp_path)
    model = PreferenceModel.from_pretrained(tiny_bundle)
    assert model.bundle.temperature != 1
    assert len(pairs) == 20
    for pair in pairs:
        assert pair.target == pytest.approx(model.compare(pair.question, pair.chosen, pair.rejected), abs=1e-4)
    graphs = [facts["sha256"] for name, facts in model.bundle.info["files"].items() if name.endswith(".onnx")]
    assert run.report["distil"]["teachers"][0]["sha256"] in graphs


def test_a_killed_run_goes_on_with_the_scores_that_it_has(small, tmp_path):
    teacher = small / "base"
    plan = recipe(small, teacher, batch_tokens=32)  # nearly every answer is a batch
    whole, _ = distilled(plan, small / "data", tmp_path / "whole")
    total = len({(p.question, text) for p in whole for text in (p.chosen, p.rejected)})
    out, run = tmp_path / "out", written(plan, small, "killed")
    process = subprocess.Popen(run.command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        deadline = time.monotonic() + 120
        while sum(path.stat().st_size for path in out.glob("distil/*")) < 40:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert {path.name for path in out.iterdir()} == {"distil", "lock"}
    [scores] = out.glob("distil/*")
    kept = scores.read_bytes()
    assert 40 <= len(kept) < 4 * total
    scores.write_bytes(kept + b"\0")  # a part of a score does not count

    result = run.train(out, "--max-steps", 1)
    assert result.exit_code == 0, result.output
    assert f"teacher {teacher}: {total} answers, {len(kept) // 4} of them scored before" in result.stderr
    assert scores.read_bytes()[: len(kept)] == kept
    pairs = [pair for pair in read_pairs(out / "pairs" / "train.jsonl.gz") if pair.axiom == "distilled"]
    assert pairs == whole


def test_scores_are_of_one_teacher_and_its_inputs(small, tmp_path):
    one, other, said = small / "base", small / "student", []
    for teacher, number in ((one, 30), (other, 30), (one, 30), (one, 60)):
        distilled(recipe(small, teacher, pairs=number), small / "data", tmp_path, said)
    found = [line.removeprefix("teacher ").split() for line in said if "scored before" in line]
    assert [name for name, *_ in found] == [f"{name}:" for name in (one, other, one, one)]
    assert [int(line[3]) for line in found] == [0, 0, int(found[2][1]), 0]
    assert len(list(tmp_path.glob("distil/*"))) == 3


@pytest.mark.parametrize(
    ("labels", "why"), [(None, "no tokenizer.json"), (0, "no classification layer"), (3, "cannot be loaded as a model")]
)
def test_a_teacher_that_is_none_is_told(small, tmp_path, labels, why):
    base = tmp_path / "nowhere"
    if labels is not None:
        model = small_bert(80)
        model.config.num_labels = labels
        write_base(base, [WORDS])
        (BertForSequenceClassification if labels else BertModel)(model.config).save_pretrained(base)
    with pytest.raises(InputError) as caught:
        distilled(recipe(small, base), small / "data", tmp_path / "out")
    text = str(caught.value)
    assert text.startswith(f"distil.teachers holds {str(base)!r}"[:60])
    assert "; allowed: a run, a bundle or a cross-encoder with one label: " in text
    assert why in text
    assert text.isprintable()  # hence one line
    assert not (tmp_path / "out").exists()
    result = written(recipe(small, base), small, "none").train(tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"error: {text}"
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_of_a_run_is_told(small, tmp_path):
    base = write_base(tmp_path / "base", [WORDS])
    (base / "run.json").write_text("{}")
    with pytest.raises(FileFormatError, match=r"run\.json: not the record of a run: \S"):
        distilled(recipe(small, base), small / "data", tmp_path / "out")


def test_inputs_longer_than_a_teacher_reads_are_told(small, tmp_path):
    long = Thread("t/1", "t", "Why?", (Answer(" ".join(NOISE)), Answer(" ".join(NOISE * 2))))
    for name in ("few.jsonl", "eval.jsonl"):
        write_pairs(tmp_path / name, read_pairs(small / "data" / name))
    write_threads(tmp_path / "talk.jsonl", [long])
    plan = replace(recipe(small, small / "base"), encoding=EncodingConfig(max_tokens=80, question_tokens=12))
    with pytest.raises(PrefModelError, match=r"base cannot read \d+ inputs of \d+ tokens; see encoding\.max_tokens"):
        distilled(plan, tmp_path, tmp_path / "out")


def test_scores_that_are_no_numbers_are_told(small, tmp_path):
    base = write_base(tmp_path / "base", [WORDS])
    tensors = load_file(base / "model.safetensors")
    tensors["bert.pooler.dense.weight"][:] = float("nan")
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(PrefModelError, match="base: a score is infinite or not a number"):
        distilled(recipe(small, base), small / "data", tmp_path / "out")
