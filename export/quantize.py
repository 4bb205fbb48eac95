"""A float32 graph as int8: matrix products of whole numbers, embeddings looked up in tables of whole numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from export.activations import Activations, products, record
from export.fuse import fuse
from export.onnx_graph import OnnxGraph, attribute, other_input
from export.rounding import Scale, choose_scale, rounded
from prefmodel.encoding import INT

FLOAT = NDArray[np.float32]

SAMPLED_ROWS = 24
"""Tokens of each text that the weights are rounded on."""
SMALLEST_TABLE = 1 << 16
"""Embeddings with fewer numbers stay as they are."""
BLOCK = 64
INT8_ACTIVATIONS = 4
"""The `accuracy_level` of the operator MatMulNBits at which activations are quantised too."""


def write_int8(source: Path, target: Path, batches: Iterable[dict[str, INT]], left_out: float = 0.0) -> None:
    """Write the int8 form of a float32 graph.

    - A product becomes `QuantizeLinear` and `MatMulIntegerToFloat`: activations of 8 bits with scales that are fixed
      here, weights of 7 bits with a scale for each column. Fixed scales make a score independent of the other rows of
      its batch, and need no pass over the activations to find them. The mean of the error that is left is
      known, and taken off the bias.
    - The products that suffer most may be left out, and those that see the first token alone are; they become
      `MatMulNBits` with 8 bits and a scale for each 64 weights and activations, about four times slower.
    - Attention and GELU are fused; both stay float32, as do pooling and heads: they are a small part of the work, and
      every error in the heads goes straight to the score.

    Args:
        source: the float32 graph.
        target: the file to write.
        batches: texts that scales and rounding are chosen on, without padding, int64 [1, tokens] by input name.
        left_out: share of the products, 0 to 1, that become `MatMulNBits`.
    """
    model = onnx.load(str(source))
    fuse(model)
    seen = record(model, batches, SAMPLED_ROWS)
    graph = OnnxGraph(model)
    _embeddings(graph)
    inputs: dict[str, list[onnx.NodeProto]] = {}
    for node in products(graph):
        if node.input[0] in seen:
            inputs.setdefault(node.input[0], []).append(node)
    weights = {name: np.concatenate([_weight(graph, n) for n in nodes], axis=1) for name, nodes in inputs.items()}
    scales = {name: choose_scale(seen[name], weights[name]) for name in inputs}
    worst = {*sorted(inputs, key=lambda name: -scales[name][1])[: round(left_out * len(inputs))]}
    worst |= {name for name in inputs if seen[name].first}  # few to choose scales on, and little to gain
    for name, nodes in inputs.items():
        if name not in worst:
            _whole_products(graph, name, nodes, seen[name], scales[name][0])
    graph.prune()
    if not any(opset.domain == "com.microsoft" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    if worst:
        model = _in_blocks(model, {node.name for name in worst for node in inputs[name]})
    onnx.save(model, str(target))


def _whole_products(graph: OnnxGraph, name: str, nodes: list[onnx.NodeProto], seen: Activations, scale: Scale) -> None:
    """Replace products that share the input `name`, and the bias that is added to each."""
    channels = graph.add_weight(f"{name}_channels", scale.channels)
    step, zero = (
        graph.add_weight(f"{name}_step", np.asarray(scale.step)),
        graph.add_weight(f"{name}_zero", np.asarray(scale.zero)),
    )
    even = helper.make_node("Mul", [name, channels], [f"{name}_even"], name=f"{name}_even")
    # Of Microsoft's domain too: onnxruntime 1.23, the last for Python 3.10, has no standard one of this opset.
    whole = helper.make_node(
        "QuantizeLinear", [f"{name}_even", step, zero], [f"{name}_whole"], name=f"{name}_whole", domain="com.microsoft"
    )
    graph.insert(nodes[0], [even, whole])
    for node in nodes:
        weight, out, last, bias = _weight(graph, node), node.output[0], node, np.zeros((), np.float32)
        added = graph.only_user(out, "Add")
        if added is not None:
            value = graph.constant(other_input(added, out))
            if value is not None and value.shape in ((), (1,), weight.shape[1:]):
                last, bias = added, value
        numbers, steps = rounded(weight / scale.channels[:, None], scale(seen.rows))
        # The part of the error that is the same for all tokens.
        error = (seen.rows @ weight - scale(seen.rows) @ (numbers * steps)).mean(0)
        parts: dict[str, NDArray[Any]] = {
            "weight": numbers,
            "steps": steps,
            "weight_zero": np.zeros((), np.int8),
            "bias": np.broadcast_to(bias + error, weight.shape[1:]).astype(np.float32),
        }
        stored = {part: graph.add_weight(f"{node.name}_{part}", value) for part, value in parts.items()}
        inputs = [whole.output[0], stored["weight"], step, stored["steps"], zero, stored["weight_zero"], stored["bias"]]
        product = helper.make_node(
            "MatMulIntegerToFloat", inputs, [last.output[0]], name=node.name, domain="com.microsoft"
        )
        graph.insert(last, [product])
        graph.remove([last, node] if last is not node else [node])


def _embeddings(graph: OnnxGraph) -> None:
    """Replace large tables that are looked up by whole numbers of 8 bits, with a step for each row."""
    for node in graph.nodes:
        table = graph.constant(node.input[0]) if node.op_type == "Gather" else None
        if table is None or table.ndim != 2 or table.size < SMALLEST_TABLE or table.dtype != np.float32:
            continue
        if attribute(node, "axis") not in (None, 0) or len(graph.users(node.input[0])) > 1:
            continue
        name, (ids, out) = node.name, (node.input[1], node.output[0])
        steps = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)
        numbers = graph.add_weight(f"{name}_numbers", np.rint(table / steps).astype(np.int8))
        found = [f"{name}_{part}" for part in ("whole", "float", "steps")]
        graph.insert(
            node,
            [
                helper.make_node("Gather", [numbers, ids], [found[0]], name=found[0], axis=0),
                helper.make_node("Cast", [found[0]], [found[1]], name=found[1], to=onnx.TensorProto.FLOAT),
                helper.make_node(
                    "Gather", [graph.add_weight(f"{name}_step", steps), ids], [found[2]], name=found[2], axis=0
                ),
                helper.make_node("Mul", [found[1], found[2]], [out], name=f"{name}_scaled"),
            ],
        )
        graph.remove([node])


def _in_blocks(model: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    """Return the model with the named products as MatMulNBits."""
    others = [node.name for node in model.graph.node if node.op_type == "MatMul" and node.name not in names]
    with _quiet():
        from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

        settings = DefaultWeightOnlyQuantConfig(
            block_size=BLOCK, is_symmetric=True, accuracy_level=INT8_ACTIVATIONS, bits=8
        )
        quantizer = MatMulNBitsQuantizer(model, nodes_to_exclude=others, algo_config=settings)
        quantizer.process()
    found: onnx.ModelProto = quantizer.model.model
    return found


def _weight(graph: OnnxGraph, node: onnx.NodeProto) -> FLOAT:
    value = graph.constant(node.input[1])
    assert value is not None  # `products` says so
    return np.asarray(value, np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Undo what onnxruntime's quantiser does to logging when imported, and drop its line for each node."""
    root = logging.getLogger()
    level, handlers, disabled = root.level, root.handlers[:], root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        logging.disable(disabled)
