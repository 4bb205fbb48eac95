"""Families of decoders in small, and T5, whose decoder reads one token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.families import scores
from tests.family_checks import (
    DECODERS,
    WITH_DECODERS,
    base,
    test_a_family_all_the_way,
    test_float16_is_half_as_large_and_only_for_who_asks,
    test_places_of_tokens_matter,
    test_transformers_gives_the_same_score,
    trial_of,
)
from training.model import PreferenceNet

__all__ = [
    "test_a_family_all_the_way",
    "test_float16_is_half_as_large_and_only_for_who_asks",
    "test_places_of_tokens_matter",
    "test_transformers_gives_the_same_score",
]

tried = trial_of(WITH_DECODERS)


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
