"""Weights between what was learned and the start, or another model, with the command that a user runs."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

from tests.small_base import write_base
from tests.small_run import BAD, GOOD, NOISE, small_run, weights


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("small"))


def test_weights_between_the_start_and_what_was_learned(small, tmp_path):
    """The base brings no heads of ours, so the start's are drawn again, as the run drew them."""
    plain = small.variant("plain", epochs=1)
    assert plain.train(tmp_path / "whole").exit_code == 0
    assert small.variant("half", epochs=1, blend=0.5).train(tmp_path / "half").exit_code == 0
    assert small.variant("start", epochs=1, blend=0.0).train(tmp_path / "start").exit_code == 0
    whole, half, start = (weights(tmp_path / name) for name in ("whole", "half", "start"))
    moved = [name for name in whole if not torch.equal(whole[name], start[name])]
    assert len(moved) > 20
    for name in whole:
        torch.testing.assert_close(half[name], (whole[name] + start[name]) / 2, atol=1e-6, rtol=1e-5)
    refused = small.variant("more", blend=1.5).train(tmp_path / "more")
    assert refused.stderr.endswith("train.blend is 1.5; allowed: 0 to 1\n")


def test_weights_between_another_model_and_what_was_learned(small, tmp_path):
    other = write_base(tmp_path / "other", [" ".join((*GOOD, *BAD, *NOISE))], seed=1)
    assert small.variant("plain", epochs=1).train(tmp_path / "whole").exit_code == 0
    mixed = small.variant("mixed", epochs=1, blend=0.75, blend_base=str(other)).train(tmp_path / "mixed")
    assert mixed.exit_code == 0
    assert f"0.75 of the way from {other}, are kept" in mixed.stderr
    whole, found = weights(tmp_path / "whole"), weights(tmp_path / "mixed")
    began = load_file(other / "model.safetensors")
    heads = {"classifier.weight", "classifier.bias", *load_file(tmp_path / "whole" / "heads.safetensors")}
    assert len(began.keys() - heads) > 20
    assert whole.keys() == began.keys() | heads
    recorded = json.loads((tmp_path / "mixed" / "run.json").read_text())["recipe"]
    assert recorded["train"]["blend_base"] == str(other)
    on_it = small.variant("on", epochs=1, blend=0.75, blend_base=str(tmp_path / "mixed")).train(tmp_path / "on")
    assert on_it.exit_code == 0, on_it.stderr
    record = json.loads((tmp_path / "on" / "run.json").read_text())
    assert record["blend_base_run"]["recipe"] == recorded
    assert len(record["blend_base_sha256"]) == 64
    named = small.variant("named", epochs=1, blend=0.75).train(tmp_path / "named", "--blend-base", other)
    assert named.exit_code == 0
    assert all(torch.equal(found[name], weight) for name, weight in weights(tmp_path / "named").items())
    for name in whole:  # heads stay as they were learned
        wanted = whole[name] if name in heads else 0.75 * whole[name] + 0.25 * began[name]
        torch.testing.assert_close(found[name], wanted, atol=1e-6, rtol=1e-5)


def test_another_model_that_does_not_fit_is_refused_before_the_run(small, tmp_path):
    larger = write_base(tmp_path / "larger", [" ".join((*GOOD, *BAD, *NOISE, "more"))])
    refused = small.variant("larger", blend=0.5, blend_base=str(larger)).train(tmp_path / "run")
    assert refused.exit_code == 1
    assert re.search(
        r"train.blend_base is '.*larger', whose .*embeddings.* has the shape \[(\d+), 32\];"
        r" allowed: \[(?!\1)\d+, 32\], as in the base\n$",
        refused.stderr,
    )
    assert not (tmp_path / "run" / "log.jsonl").exists()
    fewer = write_base(tmp_path / "fewer", [" ".join((*GOOD, *BAD, *NOISE))])
    BertForSequenceClassification.from_pretrained(fewer, num_hidden_layers=1).save_pretrained(fewer)
    refused = small.variant("fewer", blend=0.5, blend_base=str(fewer)).train(tmp_path / "run")
    told = r"train.blend_base is '.*fewer', which lacks .*layer.1.*; allowed: a model with the layers of the base\n$"
    assert re.search(told, refused.stderr)
    missing = small.variant("missing", blend=0.5, blend_base=str(tmp_path / "none")).train(tmp_path / "run2")
    assert missing.exit_code == 1
    assert f"error: train.blend_base: {tmp_path / 'none'}: cannot be loaded" in missing.stderr.splitlines()[-1]
    blank = small.variant("blank", blend=0.5, blend_base=" ").train(tmp_path / "run2")
    assert blank.stderr.endswith("train.blend_base is blank; allowed: a folder, a name on the Hub, or none\n")
    whole = small.variant("whole", blend_base=str(larger)).train(tmp_path / "run3")
    assert whole.stderr.endswith("train.blend is 1 with train.blend_base; allowed: below 1, or no train.blend_base\n")
