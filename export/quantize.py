"""A float32 graph as int8: weights per channel, activations on the fly."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic


def write_int8(source: Path, target: Path) -> None:
    """Write the int8 form of a float32 graph.

    The matrix products and the embeddings are quantised, each column of a weight with a scale of its own. The heads
    stay float32: they are tiny, and every error in them goes straight to the score.
    """
    model = onnx.load(str(source))
    # torch's exporter transposes weights but keeps the shapes it noted before, which the quantiser takes for an error.
    del model.graph.value_info[:]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the quantiser asks for a preprocessing that brings nothing here
    try:
        quantize_dynamic(
            model, target, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=_heads(model.graph)
        )
    finally:
        root.setLevel(level)


def _heads(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes that compute the contributions from the pooled vector."""
    maker = {output: node for node in graph.node for output in node.output}
    names: list[str] = []
    wanted = "contributions"
    while (node := maker.get(wanted)) is not None:
        names.append(node.name)
        if node.op_type in ("Gemm", "MatMul"):
            break
        wanted = next((i for i in node.input if i in maker), "")
    return names
