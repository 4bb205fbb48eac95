"""A tiny sentence encoder, as a folder: a vector for each token, by an ONNX graph that onnxruntime runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.tiny import tiny_tokenizer

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
WIDTH = 16


def encoder_graph(vocab: int, pooled: bool, inputs: tuple[str, ...] = INPUTS) -> onnx.ModelProto:
    """Return a graph that looks up a vector for each token; if pooled, it also gives the largest of each column."""
    weights = np.random.default_rng(0).normal(size=(vocab, WIDTH)).astype(np.float32)
    nodes = [helper.make_node("Gather", ["embedding", "input_ids"], ["last_hidden_state"])]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", WIDTH])]
    if pooled:
        nodes.append(helper.make_node("ReduceMax", ["last_hidden_state"], ["sentence_embedding"], axes=[1], keepdims=0))
        outputs.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", WIDTH]))
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs]
    graph = helper.make_graph(nodes, "encoder", given, outputs, [numpy_helper.from_array(weights, "embedding")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def encoder_folder(folder: Path, pooled: bool = False, graph: str = "onnx/model.onnx", **others) -> Path:
    tokenizer = tiny_tokenizer()
    (folder / graph).parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    onnx.save(encoder_graph(tokenizer.get_vocab_size(), pooled, **others), folder / graph)
    return folder
