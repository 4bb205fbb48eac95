"""Families of decoders in small, and T5, whose decoder reads one token."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from benchmarks.families import Trial, graph_difference, labels, random_batch, scores
from export.bundle import export
from export.unpack import unpack
from prefmodel.bundle import Bundle
from prefmodel.files import write_pairs
from tests.family_checks import (
    DECODERS,
    WITH_DECODERS,
    FamilyChecks,
    base,
    trial_of,
)
from training.model import PreferenceNet

tried = trial_of(WITH_DECODERS)


class TestFamilies(FamilyChecks):
    @pytest.mark.parametrize("tried", ["flan-t5-base"], indirect=True)
    def test_a_bundle_is_unpacked(self, tried: tuple[str, Path, Trial]) -> None:
        """T5 has weights that no graph has."""
        _, folder, done = tried
        assert difference_when_unpacked(done.bundle, folder / "again") < 1e-4


@pytest.mark.parametrize("name", DECODERS)
def test_the_mask_says_which_token_is_the_last(name: str, tmp_path: Path) -> None:
    """Text that ends in the token for padding, padded with it or with any other."""
    net = PreferenceNet.from_base(base(tmp_path, name)).eval()
    pad = net.config.pad_token_id
    text = torch.tensor([[9, 8, 7, pad, pad]])
    want = scores(net, {"input_ids": text, "attention_mask": torch.ones_like(text)})
    for filler in (pad, 5):
        padded = torch.nn.functional.pad(text, (0, 4), value=filler)
        mask = (torch.arange(9) < 5).long()[None]
        found = scores(net, {"input_ids": padded, "attention_mask": mask})
        np.testing.assert_allclose(found, want, atol=1e-5)
    ended = scores(net, {"input_ids": text[:, :3], "attention_mask": torch.ones(1, 3, dtype=torch.long)})
    assert np.abs(ended - want).max() > 1e-3


def test_a_bundle_of_fresh_weights_is_unpacked(tmp_path: Path) -> None:
    """Fresh norms are equal, and a graph keeps one of them."""
    write_pairs(tmp_path / "heldout.jsonl", labels(Random(0), 40))
    fresh = base(tmp_path, "smollm2-135m")
    bundle = export(fresh, tmp_path / "bundle", [tmp_path / "heldout.jsonl"], ["float32"], lambda _: None)
    assert difference_when_unpacked(bundle, tmp_path / "again") < 1e-4


def difference_when_unpacked(bundle: Path, folder: Path) -> float:
    found = PreferenceNet.from_checkpoint(unpack(bundle, folder)).eval()
    batch = random_batch(found, 3, 20)
    return graph_difference(Bundle.open(bundle, precision="float32"), [batch], [scores(found, batch)])
