"""The torch model: what its heads add up to, and what a checkpoint holds."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
)

from prefmodel.errors import BundleError
from prefmodel.types import CONTRIBUTIONS
from tests.small_base import small_bert, write_base
from training.length import Length
from training.model import HEADS, PreferenceNet, load_tokenizer

IDS = torch.tensor([[2, 5, 6, 3, 7, 8, 3], [2, 6, 5, 3, 9, 3, 0]])
MASK = (IDS != 0).long()
TYPES = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0]])
TEXTS = ["one two three four five six"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("bases") / "base", TEXTS)


def with_random_heads(classifier):
    torch.manual_seed(1)
    size = (len(CONTRIBUTIONS), classifier.config.hidden_size)
    return PreferenceNet(classifier.eval(), torch.randn(size), torch.randn(len(CONTRIBUTIONS)))


@torch.no_grad()
def outputs(net, types=TYPES):
    return net.eval()(IDS, MASK, types)


def test_the_heads_add_up_to_the_classifier_that_transformers_loads(base, tmp_path):
    net = with_random_heads(small_bert(11))
    net.save(tmp_path)
    assert outputs(net).shape == (2, len(CONTRIBUTIONS))
    ordinary = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert ordinary.config.num_labels == 1
    with torch.no_grad():
        logits = ordinary(input_ids=IDS, attention_mask=MASK, token_type_ids=TYPES).logits
    assert logits.shape == (2, 1)
    torch.testing.assert_close(logits, outputs(net).sum(1, keepdim=True), atol=1e-5, rtol=0)


def test_a_checkpoint_gives_the_same_contributions(tmp_path):
    net = with_random_heads(small_bert(11))
    before = outputs(net)
    net.save(tmp_path)
    assert torch.equal(outputs(net), before)  # saving leaves the model as it was
    assert torch.equal(outputs(PreferenceNet.from_checkpoint(tmp_path)), before)


def test_a_checkpoint_has_nothing_that_can_run_code(tmp_path):
    with_random_heads(small_bert(11)).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", HEADS, "model.safetensors"]
    json.loads((tmp_path / "config.json").read_text())
    assert load_file(tmp_path / HEADS)["weight"].shape == (len(CONTRIBUTIONS), 32)
    assert load_file(tmp_path / "model.safetensors")["classifier.weight"].shape == (1, 32)


def test_the_start_scales_the_layer_of_the_base(base):
    own = load_file(base / "model.safetensors")["classifier.weight"][0]
    heads = PreferenceNet.from_base(base, start=0.25).heads.weight
    relevance = CONTRIBUTIONS.index("relevance")
    torch.testing.assert_close(heads[relevance], own * 0.25)
    assert own.abs().max() > 0.01
    others = [i for i in range(len(CONTRIBUTIONS)) if i != relevance]
    assert heads[others].abs().max() == 0


def test_a_classifier_without_bias_keeps_the_sum(tmp_path):
    """A learned bias could not be kept, as the ordinary classifier has no place for it; so none is learned."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    net = PreferenceNet(
        LlamaForSequenceClassification(LlamaConfig(vocab_size=11, **shape, pad_token_id=0, num_labels=1))
    )
    assert [p.requires_grad for p in net.heads.parameters()] == [True, False]
    net.save(tmp_path)
    ordinary = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        logits = ordinary(input_ids=IDS, attention_mask=MASK).logits
    torch.testing.assert_close(logits, outputs(net).sum(1, keepdim=True), atol=1e-5, rtol=0)


def test_type_ids_go_only_to_models_that_have_them():
    assert not torch.equal(outputs(with_random_heads(small_bert(11))), outputs(with_random_heads(small_bert(11)), None))
    config = BertConfig(
        vocab_size=11, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, type_vocab_size=1
    )
    config.num_labels = 1
    net = with_random_heads(BertForSequenceClassification(config))
    assert not net.takes_type_ids
    assert torch.equal(outputs(net), outputs(net, None))


def test_dropout_is_replaced_everywhere(base, tmp_path):
    torch.manual_seed(0)
    net = PreferenceNet.from_base(base, dropout=0.0).train()
    assert torch.equal(net(IDS, MASK, TYPES), net(IDS, MASK, TYPES))
    net = PreferenceNet.from_base(base, dropout=0.5).train()
    assert not torch.equal(net(IDS, MASK, TYPES), net(IDS, MASK, TYPES))


def test_dropout_is_replaced_where_attention_calls_it_as_a_function(tmp_path):
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    config = ModernBertConfig(vocab_size=11, **shape, **special, attention_dropout=0.5, num_labels=1)
    ModernBertForSequenceClassification(config).save_pretrained(tmp_path)
    net = PreferenceNet.from_base(tmp_path).train()
    assert not torch.equal(net(IDS, MASK), net(IDS, MASK))
    net = PreferenceNet.from_base(tmp_path, dropout=0.0).train()
    assert torch.equal(net(IDS, MASK), net(IDS, MASK))


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_the_lower_layers_are_kept_and_what_follows_starts_fresh(kind, tmp_path):
    if kind == "bert":
        small_bert(11).save_pretrained(tmp_path)
    else:
        shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        special = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
        config = ModernBertConfig(vocab_size=11, **shape, **special, num_labels=1)
        ModernBertForSequenceClassification(config).save_pretrained(tmp_path)
    whole, part = PreferenceNet.from_base(tmp_path), PreferenceNet.from_base(tmp_path, layers=1)
    old, new = whole.classifier.state_dict(), part.classifier.state_dict()
    assert not [name for name in new if "layers.1." in name or "layer.1." in name]
    changed = {name for name in new if not torch.equal(old[name], new[name])}
    pooling = {"bert": "bert.pooler.dense", "modernbert": "head.dense"}[kind]
    assert changed == {f"{pooling}.weight", "classifier.weight"}  # all biases are zero before and after
    torch.testing.assert_close(new[f"{pooling}.weight"], torch.eye(part.heads.in_features) / 2)
    assert (part.heads.weight.abs().sum(1) > 0).all()

    part.save(tmp_path / "saved")
    ordinary = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert ordinary.config.num_hidden_layers == 1
    with torch.no_grad():
        logits = ordinary(input_ids=IDS, attention_mask=MASK).logits
        torch.testing.assert_close(logits, part.eval()(IDS, MASK).sum(1, keepdim=True), atol=1e-5, rtol=0)


def test_more_layers_than_there_are_is_told(base):
    with pytest.raises(BundleError, match=r"train\.layers is 3; allowed: 0 to 2, the layers of the base"):
        PreferenceNet.from_base(base, layers=3)


def test_a_teacher_gives_the_bases_own_score(base):
    teacher = PreferenceNet.teacher(base, start=0.5)
    ordinary = AutoModelForSequenceClassification.from_pretrained(base).eval()
    with torch.no_grad():
        logits = ordinary(input_ids=IDS, attention_mask=MASK, token_type_ids=TYPES).logits[:, 0]
    taught = outputs(teacher)[:, CONTRIBUTIONS.index("relevance")]
    torch.testing.assert_close(taught[0] - taught[1], 0.5 * (logits[0] - logits[1]))
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())


def test_a_teacher_of_ours_keeps_its_contributions(tmp_path):
    """Its relevance is one of them, not its whole score."""
    net = with_random_heads(small_bert(11))
    net.length = Length(0.5, 1.0)
    net.save(tmp_path)
    taught = outputs(PreferenceNet.teacher(tmp_path, start=0.5))
    torch.testing.assert_close(taught, 0.5 * outputs(net.eval())[:, : len(CONTRIBUTIONS)])


def test_a_base_without_a_classification_layer_is_no_teacher(tmp_path):
    small_bert(11).bert.save_pretrained(tmp_path)
    with pytest.raises(BundleError, match="has no classification layer of its own, which a teacher needs"):
        PreferenceNet.teacher(tmp_path)


@pytest.mark.parametrize(("layers", "count"), [([8], 0), ([1, 1], 2)])
def test_a_model_must_end_in_one_layer_with_one_output(layers, count):
    model = torch.nn.Sequential(*(torch.nn.Linear(8, size) for size in layers))
    with pytest.raises(BundleError, match=f"Sequential has {count} linear layers with one output; allowed: one"):
        PreferenceNet(model)


def test_what_is_no_model_is_told_in_one_line(base, tmp_path):
    for load in (PreferenceNet.from_base, PreferenceNet.from_checkpoint, load_tokenizer):
        with pytest.raises(BundleError, match=r"nowhere") as caught:
            load(tmp_path / "nowhere")
        assert "\n" not in str(caught.value)
    with pytest.raises(BundleError, match="is no checkpoint"):
        PreferenceNet.from_checkpoint(base)


def test_damaged_files_are_told(base, tmp_path):
    net = with_random_heads(small_bert(11))
    net.save(tmp_path)
    save_file({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, tmp_path / HEADS)
    with pytest.raises(BundleError, match=r"heads\.safetensors: damaged"):
        PreferenceNet.from_checkpoint(tmp_path)
    net.save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(BundleError, match="cannot be loaded as a model"):
        PreferenceNet.from_checkpoint(tmp_path)


def test_the_mode_follows_the_classifier(base):
    assert not PreferenceNet.from_base(base).training
    assert PreferenceNet(small_bert(11).train()).training
