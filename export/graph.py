"""The torch model as an ONNX graph with the outputs `logits` and `contributions`."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from prefmodel.bundle_files import GRAPH_BYTES
from prefmodel.encoding import INT
from prefmodel.errors import PrefModelError
from training.first_token import only_first_token
from training.model import PreferenceNet

OPSET = 18
"""The lowest that torch's exporter writes without converting; onnxruntime reads it since 1.14."""


class ServedNet(nn.Module):
    """What a bundle's graph computes: `logits` float32 [batch, 1], the sum of `contributions` float32 [batch, k]."""

    def __init__(self, net: PreferenceNet):
        super().__init__()
        self.net = net

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take int64 [batch, tokens] each; return (logits [batch, 1], contributions [batch, k])."""
        contributions = self.net(input_ids, attention_mask, token_type_ids)
        return contributions.sum(1, keepdim=True), contributions


def strip_metadata(path: Path) -> None:
    """Take out of a graph what torch's exporter notes of the machine it ran on: stack traces with paths of files."""
    model = onnx.load(str(path))
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    # The exporter turns weights round but keeps the shapes it noted before, which quantisers take for an error.
    weights = {tensor.name for tensor in graph.initializer}
    for at in reversed(range(len(graph.value_info))):
        if graph.value_info[at].name in weights:
            del graph.value_info[at]
    onnx.save(model, str(path))


def write_graph(net: PreferenceNet, path: Path, example: dict[str, INT]) -> None:
    """Write a float32 graph with dynamic batch and length, its weights inside.

    Args:
        net: the model; it is put into evaluation mode, and its last layer reads on at the first token alone.
        path: the `.onnx` file.
        example: a padded batch of at least two inputs, int64 [batch, tokens] by name.

    Raises:
        PrefModelError: the weights do not fit in one file, or torch cannot export this architecture.
    """
    size = 4 * sum(parameter.numel() for parameter in net.parameters())
    if size > GRAPH_BYTES:
        raise PrefModelError(
            f"{type(net.classifier).__name__} has {size / 1e9:.2f} GB of float32 weights; "
            f"allowed: up to {GRAPH_BYTES / 1e9:.2f}, the limit of protobuf, the format of ONNX"
        )
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if net.takes_type_ids else [])]
    # Plain products and a softmax: onnxruntime fuses and quantises these; torch's fused attention it would not know.
    net.classifier.set_attn_implementation("eager")
    net.float().cpu()
    only_first_token(net.classifier)
    served = ServedNet(net).eval()
    batch, tokens = torch.export.Dim("batch", min=1), torch.export.Dim("tokens", min=2)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        try:
            torch.onnx.export(
                served,
                tuple(torch.from_numpy(example[name]) for name in names),
                str(path),
                input_names=names,
                output_names=["logits", "contributions"],
                dynamic_shapes=tuple({0: batch, 1: tokens} for _ in names),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter's errors share no base but Exception
            line = " ".join(str(error).split())[:300]
            raise PrefModelError(f"{type(net.classifier).__name__} cannot be exported: {line}") from None
    strip_metadata(path)
