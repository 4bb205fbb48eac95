"""A tiny but real bundle: seeded random weights, a word-piece tokenizer, an ONNX graph that onnxruntime runs."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from prefmodel.bundle import write_manifest
from prefmodel.encoding import EncodingConfig
from prefmodel.types import CONTRIBUTIONS

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["…", "why", "is", "the", "sky", "blue", "because", "air", "scatters", "light", "user", "assistant"]
ENCODING = EncodingConfig(max_tokens=64, question_tokens=16)
TRAINING = {
    "base": "tiny/random",
    "recipe": {"epochs": 1, "learning_rate": 1e-5},
    "data": [{"file": "demo.jsonl", "sha256": "ab" * 32, "licence": "CC BY-SA 4.0", "rows": 12}],
    "pairs": {"votes": 7, "human": 5},
    "accuracy": {"human": 0.625},
    "notes": "seeded random weights",
}


def tiny_tokenizer() -> Tokenizer:
    """Return a lower-casing WordPiece tokenizer that has every ASCII character, and the template of BERT."""
    characters = [c for c in string.printable if not c.isspace() and not c.isupper()]
    vocab = [*SPECIAL, *WORDS, *characters, *(f"##{c}" for c in string.ascii_lowercase + string.digits)]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def unigram_tokenizer() -> Tokenizer:
    """Return a Unigram tokenizer, as of XLM-R, whose vocabulary holds the special `</s>` as an ordinary piece."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("…", -3.0)]
    pieces += [(c, -4.0) for c in string.printable if not c.isspace()]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def build_bundle(folder: Path, seed: int = 0, int8: bool = True) -> Path:
    """Write a whole bundle to `folder` and return it."""
    (folder / "onnx").mkdir(parents=True)
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"architectures": ["TinyForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("# Tiny\n")
    graph = tiny_graph(tokenizer.get_vocab_size(), seed)
    onnx.save(graph, folder / "onnx" / "model.onnx")
    if int8:
        onnx.save(quantised(graph), folder / "onnx" / "model_int8.onnx")
    write_manifest(folder, ENCODING, CONTRIBUTIONS, 1.5, TRAINING)
    return folder


def tiny_graph(vocab: int, seed: int = 0, width: int = 8) -> onnx.ModelProto:
    """Return embeddings of tokens and types, their mean over the tokens that are no padding, and linear heads."""
    random = np.random.default_rng(seed)
    weights = {
        "embedding": random.normal(size=(vocab, width)),
        "type_embedding": random.normal(size=(2, width)),
        "heads": random.normal(size=(width, len(CONTRIBUTIONS))),
        "bias": random.normal(size=len(CONTRIBUTIONS)) / 10,
    }
    constants = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    constants += [numpy_helper.from_array(np.array([axis], np.int64), f"axis{axis}") for axis in (1, 2)]
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["tokens"]),
        helper.make_node("Gather", ["type_embedding", "token_type_ids"], ["types"]),
        # A product, so that a word counts differently in a question and in an answer.
        helper.make_node("Mul", ["tokens", "types"], ["hidden"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis2"], ["mask3"]),
        helper.make_node("Mul", ["hidden", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis1"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "axis1"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "heads"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["contributions"]),
        helper.make_node("ReduceSum", ["contributions", "axis1"], ["logits"], keepdims=1),
    ]
    shape, names = ["batch", "tokens"], ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in names]
    columns = {"logits": 1, "contributions": len(CONTRIBUTIONS)}
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", k]) for n, k in columns.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its heads as int8 and one scale, which a DequantizeLinear node undoes."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    [heads] = [w for w in small.graph.initializer if w.name == "heads"]
    values = numpy_helper.to_array(heads)
    scale = np.float32(np.abs(values).max() / 127)
    heads.CopyFrom(numpy_helper.from_array(np.round(values / scale).astype(np.int8), "heads_int8"))
    small.graph.initializer.append(numpy_helper.from_array(scale, "heads_scale"))
    small.graph.node.insert(0, helper.make_node("DequantizeLinear", ["heads_int8", "heads_scale"], ["heads"]))
    return small
