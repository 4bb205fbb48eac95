"""What has to hold of every family of backbones in small: trained, saved, loaded, exported, the same scores throughout.

Several files inherit the checks, each for some of the families, so that these can run side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, T5Model

from benchmarks.families import Trial, graph_difference, labels, random_batch, scores, trial
from benchmarks.family_bases import write_base
from prefmodel.bundle import Bundle
from prefmodel.model import PreferenceModel
from training.config import TrainConfig
from training.model import PreferenceNet

OPTIONS = TrainConfig(step_pairs=32, learning_rate=2e-3, head_learning_rate=1e-2)  # slow enough for any rounding
SHAPES = ((1, 2), (1, 7), (2, 16), (5, 33), (3, 130), (2, 400))  # the example of the export has 2 of about 20
LARGEST_HALF = 0.1
DECODERS = ("smollm2-135m", "qwen2.5-0.5b")
WITH_DECODERS = (*DECODERS, "flan-t5-base")
"""Families that `test_families_decoders.py` tries; the others are in `test_families.py`."""


def trial_of(families: Sequence[str]) -> Any:
    """Return a fixture for a module: a family, the folder of its trial, and what became of it."""

    @pytest.fixture(scope="module", params=families)
    def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Trial]:
        name = request.param
        folder = tmp_path_factory.mktemp(name)
        precisions = ("float32",) if name == "flan-t5-base" else ("float32", "float16")
        return name, folder, trial(base(folder, name), folder, OPTIONS, SHAPES, precisions, heldout=1000)

    return tried


def base(folder: Path, name: str) -> Path:
    texts = [f"{p.question} {p.chosen} {p.rejected}" for p in labels(Random(0), 200)]
    return write_base(folder / "base", name, texts, small=True)


class FamilyChecks:
    """Tests of what the fixture of `trial_of` gives, which has to be called `tried`."""

    def test_a_family_all_the_way(self, tried: tuple[str, Path, Trial]) -> None:
        _, _, done = tried
        assert done.last < done.first - 0.05
        assert done.reloaded == 0
        assert done.padding < 1e-4
        assert done.parity < 1e-4

    def test_places_of_tokens_matter(self, tried: tuple[str, Path, Trial]) -> None:
        """Else a graph could be wrong in its positions and still agree."""
        _, folder, _ = tried
        net = PreferenceNet.from_checkpoint(folder / "run").eval()
        batch = random_batch(net, 1, 100)
        there = scores(net, batch)
        inner = batch["input_ids"][:, 1:-1].clone()
        batch["input_ids"][:, 1:-1] = inner.flip(1)
        assert np.abs(scores(net, batch) - there).max() > 1e-2

    def test_transformers_gives_the_same_score(self, tried: tuple[str, Path, Trial]) -> None:
        name, folder, _ = tried
        net = PreferenceNet.from_checkpoint(folder / "run").eval()
        batch = random_batch(net, 3, 20)
        if not net.takes_type_ids:
            del batch["token_type_ids"]
        want = scores(net, batch).sum(1)
        with torch.no_grad():
            if name == "flan-t5-base":  # not T5ForSequenceClassification: the vector of the start token, and the heads
                start = torch.zeros(3, 1, dtype=torch.long)
                model = T5Model(net.config).eval()
                model.load_state_dict(net.classifier.model.state_dict())
                found = net.heads(model(**batch, decoder_input_ids=start).last_hidden_state[:, 0]).sum(1)
            else:
                plain = AutoModelForSequenceClassification.from_pretrained(folder / "run").eval()
                found = plain(**batch).logits[:, 0]
        np.testing.assert_allclose(found.numpy(), want, atol=1e-5)

    def test_float16_is_half_as_large_and_only_for_who_asks(self, tried: tuple[str, Path, Trial]) -> None:
        name, folder, done = tried
        if name == "flan-t5-base":
            pytest.skip("is refused float16")
        sizes = {p: (done.bundle / "onnx" / f"{p}.onnx").stat().st_size for p in ("model", "model_fp16")}
        assert sizes["model_fp16"] < 0.65 * sizes["model"]
        assert Bundle.open(done.bundle).precision == "float32"
        facts = Bundle.open(done.bundle).info["training"]["parity"]["float16"]
        assert facts["pairs"] == 1000
        assert 0 < facts["max_difference"] < 0.5
        half = Bundle.open(done.bundle, precision="float16")
        assert PreferenceModel(half, backend="onnxruntime").score("word1 word2?", "word3 clear.") != 0
        net = PreferenceNet.from_checkpoint(folder / "run").eval()
        batches = [random_batch(net, 3, 20), random_batch(net, 2, 400)]  # far positions need float32
        assert graph_difference(half, batches, [scores(net, batch) for batch in batches]) < LARGEST_HALF
