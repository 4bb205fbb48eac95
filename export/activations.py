"""What goes into the matrix products of a graph, seen on real texts: the basis of a quantised graph's scales."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.onnx_graph import OnnxGraph
from prefmodel.encoding import INT

FLOAT = NDArray[np.float32]


@dataclass(slots=True)
class Activations:
    """The input of some products.

    Args:
        low, high: smallest and largest value of each channel, float32 [channels].
        rows: a sample of tokens, float32 [sample, channels].
        first: whether the products see the first token alone.
    """

    low: FLOAT
    high: FLOAT
    rows: FLOAT
    first: bool = False


def products(graph: OnnxGraph) -> list[onnx.NodeProto]:
    """Return the products of something computed with a matrix of weights."""
    weights = {t.name for t in graph.model.graph.initializer if len(t.dims) == 2}
    return [n for n in graph.nodes if n.op_type == "MatMul" and n.input[1] in weights and n.input[0] not in weights]


def record(
    model: onnx.ModelProto, batches: Iterable[dict[str, INT]], rows: int, seed: int = 0
) -> dict[str, Activations]:
    """Run a graph and return what goes into its products, by the name of the tensor.

    The pooling and the heads, which see one vector for each text, are left out; the end of a last layer that goes on
    with the first token alone is not.

    Args:
        model: the graph; it is not changed.
        batches: inputs without padding, int64 [1, tokens] by name.
        rows: at most so many tokens are sampled from each batch; the first is always among them.
        seed: of the sample.
    """
    import onnxruntime

    names = sorted({node.input[0] for node in products(OnnxGraph(model))})
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    probed.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(probed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = [value.name for value in session.get_inputs()]
    generator = np.random.default_rng(seed)
    found: dict[str, list[Activations]] = {}
    for batch in batches:
        values = session.run(names, {name: batch[name] for name in inputs})
        tokens = batch[inputs[0]].shape[1]
        picked = np.union1d([0], generator.choice(tokens, min(rows, tokens), replace=False))
        for name, value in zip(names, values, strict=True):
            if value.ndim == 3 and value.shape[:2] in ((1, tokens), (1, 1)):
                seen = value[0]
                first = len(seen) < tokens
                sample = seen if first else seen[picked]
                found.setdefault(name, []).append(Activations(seen.min(0), seen.max(0), sample, first))
    return {
        name: Activations(
            np.min([part.low for part in parts], 0),
            np.max([part.high for part in parts], 0),
            np.concatenate([part.rows for part in parts]),
            any(part.first for part in parts),
        )
        for name, parts in found.items()
    }
