"""Families of backbones in small, and what is refused; `test_families_decoders.py` has the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertDecoderConfig,
    ModernBertDecoderForSequenceClassification,
)

from benchmarks.family_bases import FAMILIES
from export.bundle import export
from export.graph import write_graph
from prefmodel.errors import BundleError, PrefModelError
from tests.family_checks import (
    WITH_DECODERS,
    FamilyChecks,
    base,
    trial_of,
)
from training.model import PreferenceNet

tried = trial_of([name for name in FAMILIES if name not in WITH_DECODERS])


class TestFamilies(FamilyChecks):
    pass


def test_float16_is_refused_for_t5(tmp_path: Path) -> None:
    with pytest.raises(PrefModelError, match=r"float16 is refused for t5: activations .* pass 65,504.* float32, int8"):
        export(base(tmp_path, "flan-t5-base"), tmp_path / "out", precisions=["float16"])
    assert not (tmp_path / "out").exists()


def test_a_decoder_with_layers_behind_it_is_refused(tmp_path: Path) -> None:
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    special = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
    config = ModernBertDecoderConfig(vocab_size=11, **size, **special, num_labels=1)
    ModernBertDecoderForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(BundleError, match=r"ModernBertDecoder.* behind its decoder; allowed: one layer"):
        PreferenceNet.from_base(tmp_path)


def test_weights_that_one_file_cannot_hold_are_told(tmp_path: Path) -> None:
    with torch.device("meta"):  # weights without numbers
        config = BertConfig(vocab_size=3_000_000, hidden_size=192, num_hidden_layers=1, num_labels=1)
        net = PreferenceNet(BertForSequenceClassification(config))
    with pytest.raises(PrefModelError, match=r"has 2\.31 GB of float32 weights; allowed: up to 2\.15"):
        write_graph(net, tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())
