"""The weights of a bundle as a checkpoint for torch, so that a model that is served can be trained on."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from export.fuse import fuse
from export.graph import write_graph
from export.onnx_graph import OnnxGraph, attribute
from prefmodel.bundle import Bundle
from prefmodel.bundle_files import GRAPHS, TOKENIZER_SETTINGS, TORCH
from prefmodel.encoding import INT
from prefmodel.errors import BundleError, InputError, one_line
from prefmodel.files import check_new_folder, put_folder
from prefmodel.graph import check_graph
from prefmodel.model import PreferenceModel
from prefmodel.types import CONTRIBUTIONS, LENGTH
from training.backbones import new_classifier
from training.length import Length
from training.model import PreferenceNet
from training.run_folder import BUNDLE_TRAINING

FLOAT = NDArray[np.float32]
PRECISIONS = ("float32", "int8")
MIDDLE = 128
"""The whole number that stands for 0 in the weights of MatMulNBits with 8 bits."""
LARGEST_DIFFERENCE = {"float32": 0.001, "int8": 0.25}
"""Between contributions of graph and network, on average, as a share of their spread over `TEXTS`."""
TEXTS = [
    ("Why is the sky blue?", "Air scatters short waves of light more than long ones, so blue reaches us everywhere."),
    ("Why is the sky blue?", "Bananas are yellow."),
    ("How long should I boil an egg?", "Six minutes for a runny yolk, ten for a firm one."),
    ("How long should I boil an egg?", "No."),
    ("Who wrote Faust?", "Goethe wrote it; the first part appeared in 1808 and the second after his death."),
    ("Who wrote Faust?", "I like plays. I like them very much. " * 9),
    ("Is it safe to run at night?", "It can be: wear something bright, choose lit roads, and tell someone your way."),
    ("Is it safe to run at night?", "asdf"),
]


def unpack(
    bundle: str | Path | None,
    out: str | Path,
    precision: str | None = None,
    revision: str | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a bundle's checkpoint: a folder that `prefmodel train --base` starts from and `prefmodel export` reads.

    The weights are read out of the graph; those of int8 are the numbers that it computes with, so that the checkpoint's
    scores are as near to the bundle's as int8 is to float32. How the graph's weights belong to the network is found by
    exporting a network of the same shape with other weights. What was read is tried on a few texts before it is
    written. Weights that the bundle keeps for torch are taken instead, unless a precision is asked for.

    Args:
        bundle: a folder, a name on the Hub, or None for the default model.
        out: a new folder.
        precision: of the graph to read: "float32" or "int8"; by default float32 where there is one.
        revision: branch, tag or commit, for the Hub only.
        say: is told what was read, and what a recipe needs that is no part of a checkpoint.

    Raises:
        BundleError: there is no such bundle, or its graph does not belong to the network of its config.json.
        InputError: the folder exists or cannot be made, or `precision` or `revision` is not what is allowed.
    """
    out = Path(out)
    if precision not in (None, *PRECISIONS):
        raise InputError(f"precision is {precision}; allowed: {', '.join(PRECISIONS)}")
    check_new_folder(out)
    opened = Bundle.open(bundle, revision)
    has = [name for name in PRECISIONS if GRAPHS[name] in opened.info["files"]]
    chosen = precision or next(iter(has), None)
    if chosen not in has:
        raise InputError(f"precision is {chosen}; allowed with this bundle: {', '.join(has) or 'none'}")
    opened = Bundle.open(opened.folder, precision=chosen)
    if opened.contributions not in (CONTRIBUTIONS, (*CONTRIBUTIONS, LENGTH)):
        named, allowed = (", ".join(names) for names in (opened.contributions, CONTRIBUTIONS))
        raise BundleError(f"{opened.folder}: contributions are {named}; allowed: {allowed}, and {LENGTH} after them")
    with tempfile.TemporaryDirectory(prefix="prefmodel-") as temporary:
        made = Path(temporary) / "checkpoint"
        made.mkdir()
        kept = precision is None and all(name in opened.info["files"] for name in TORCH)
        net = PreferenceNet.from_checkpoint(opened.folder) if kept else _net(opened, Path(temporary))
        if LENGTH in opened.contributions and not kept:
            net.length = _length(opened)
        _check_scores(net, opened)
        net.save(made)
        (made / BUNDLE_TRAINING).write_text(json.dumps(_learned(opened)), encoding="utf-8")
        for name in ("tokenizer.json", TOKENIZER_SETTINGS):
            if (opened.folder / name).is_file():
                shutil.copyfile(opened.folder / name, made / name)
        put_folder(made, out)
    settings = ", ".join(f"{name} = {getattr(opened.encoding, name)}" for name in ("max_tokens", "question_tokens"))
    say(f"read from the {'weights for torch' if kept else f'{chosen} graph'}")
    say(f"the bundle reads inputs with [encoding] {settings}; write that in the recipe")
    return out


def _learned(bundle: Bundle) -> dict[str, Any]:
    """Return what a bundle says of its training, without what was measured of it since."""
    return {key: value for key, value in bundle.info["training"].items() if key not in ("accuracy", "parity")}


def _served(bundle: Bundle) -> tuple[dict[str, INT], FLOAT]:
    """Return `TEXTS` as a padded batch, and what the graph makes of them, contributions float32 [texts, k]."""
    questions, answers = map(list, zip(*TEXTS, strict=True))
    served = PreferenceModel(bundle, backend="onnxruntime").score_batch(questions, answers).contributions
    encoder = bundle.encoder()
    return encoder.pad(encoder.encode_batch(questions, answers)), served


def _length(bundle: Bundle) -> Length:
    """Return a graph's contribution `length`, its last: a straight line in the logarithm of an answer's tokens."""
    batch, served = _served(bundle)
    tokens = np.log((batch["token_type_ids"] * batch["attention_mask"]).sum(1).clip(1))
    rate, at_one = np.polyfit(tokens, served[:, -1], 1)
    return Length(float(rate), float(-at_one / rate) if rate else 0.0)


def _check_scores(net: PreferenceNet, bundle: Bundle) -> None:
    """Raise BundleError when the network does not give what the graph gives: it is of another kind than it says."""
    batch, served = _served(bundle)
    with torch.inference_mode():
        got = net.eval()(**{name: torch.from_numpy(value) for name, value in batch.items()}).numpy()
    difference = float(np.abs(got - served).mean() / max(float(served.std()), 1e-6))
    if not difference <= LARGEST_DIFFERENCE[bundle.precision]:
        raise BundleError(
            f"{bundle.folder}: the graph's scores differ from those of the network of config.json, "
            f"by {difference:.2f} of their spread; allowed: {LARGEST_DIFFERENCE[bundle.precision]}"
        )


def _net(bundle: Bundle, temporary: Path) -> PreferenceNet:
    """Return the network that a bundle's graph was made of."""
    content = bundle.onnx.read_bytes()
    check_graph(content, bundle.onnx)
    net = _shaped(bundle.folder)
    first = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    _all_different(net)
    tokens: INT = np.ones((2, 4), np.int64)
    write_graph(net, temporary / "fresh.onnx", dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), tokens))
    fresh = onnx.load(str(temporary / "fresh.onnx"))
    if bundle.precision == "int8":
        fuse(fresh)
    weights = _Weights(OnnxGraph(fresh), OnnxGraph(onnx.load_from_string(content)))
    parameters = {name: parameter.detach().numpy() for name, parameter in net.named_parameters()}
    places = {}
    for name, value in parameters.items():
        places[_key(value)] = name, False
        if value.ndim == 2:
            places[_key(value.T)] = name, True
    found: dict[str, FLOAT] = {}
    for tensor in fresh.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        name, turned = places.get(_key(value), ("", False))
        read = weights.of(tensor.name) if name else None
        if read is not None and read.shape == value.shape:
            found[name] = read.T if turned else read
        elif name:
            raise BundleError(
                f"{bundle.folder}: the graph has no weight {name} as the network of config.json has it; allowed: "
                "what `prefmodel export` wrote with versions of torch and transformers that export alike"
            )
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name in found:
                parameter.copy_(torch.from_numpy(np.array(found[name], np.float32)))
            else:  # no graph has it, for it changes nothing, as the positions of a decoder that reads one token
                parameter.copy_(first[name])
    return net


def _shaped(folder: Path) -> PreferenceNet:
    """Return a network of the shape that a bundle's config.json says."""
    try:
        return PreferenceNet(new_classifier(folder))
    except Exception as error:  # of transformers, which have no common base
        raise BundleError(f"{folder}: config.json: no network of transformers: {one_line(error)[:200]}") from None


def _all_different(net: PreferenceNet) -> None:
    """Give each weight a value of its own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


class _Weights:
    """Weights of a graph under the names that they have in a fresh float32 graph of the same network.

    Products and tables of embeddings belong together in their order, for their names tell little: an exporter counts
    them. The rest has the same name in both.

    Args:
        fresh: the fresh graph.
        graph: the graph to read, float32, or int8 as `export.quantize` writes it.
    """

    def __init__(self, fresh: OnnxGraph, graph: OnnxGraph):
        self._fresh, self._graph = fresh, graph
        self._nodes = {node.name: node for node in graph.nodes}
        self._twins: dict[str, onnx.NodeProto] = {}
        for kind in (_products, _tables):
            one, other = kind(fresh), kind(graph)
            if len(one) == len(other):
                self._twins |= dict(zip((node.name for node in one), other, strict=True))

    def of(self, name: str) -> FLOAT | None:
        """Return the weight that stands at the place of the fresh one, or None."""
        user = self._fresh.users(name)[0]
        twin = self._twins.get(user.name)
        if twin is not None:
            return self._table(twin) if user.op_type == "Gather" else self._product(twin)
        made_of = (self._fresh.maker(other) for other in user.input)
        product = next((self._twins.get(node.name) for node in made_of if node is not None), None)
        if user.op_type == "Add" and product is not None and product.op_type == "MatMulIntegerToFloat":
            return self._constant(product.input[6])  # a bias; it makes up for the mean error of the product as well
        value = self._constant(name)
        if value is None and user.name in self._nodes:  # of weights that are equal, an exporter keeps one
            value = self._constant(self._nodes[user.name].input[list(user.input).index(name)])
        return value

    def _constant(self, name: str) -> FLOAT | None:
        value = self._graph.constant(name)
        return None if value is None else np.asarray(value, np.float32)

    def _table(self, node: onnx.NodeProto) -> FLOAT | None:
        table = self._constant(node.input[0])
        steps = self._constant(f"{node.name.removesuffix('_whole')}_step")
        return table if table is None or steps is None else table * steps

    def _product(self, node: onnx.NodeProto) -> FLOAT | None:
        """Return the weight of a product, float32 [channels, columns]."""
        if node.op_type == "MatMulNBits":
            return self._in_blocks(node)
        weight = self._constant(node.input[1])
        if node.op_type == "MatMul" or weight is None:
            return weight
        whole = self._graph.maker(node.input[0], "QuantizeLinear")
        even = self._graph.maker(whole.input[0], "Mul") if whole else None
        channels, steps = self._constant(even.input[1]) if even else None, self._constant(node.input[3])
        return None if channels is None or steps is None else np.asarray(weight * steps * channels[:, None], np.float32)

    def _in_blocks(self, node: onnx.NodeProto) -> FLOAT | None:
        whole, scales = self._constant(node.input[1]), self._constant(node.input[2])
        columns, channels, bits = (attribute(node, name) for name in ("N", "K", "bits"))
        if whole is None or scales is None or bits != 8:
            return None
        blocks = (whole.reshape(columns, -1, attribute(node, "block_size")) - MIDDLE) * scales.reshape(columns, -1, 1)
        return np.asarray(blocks.reshape(columns, -1)[:, :channels].T, np.float32)


def _products(graph: OnnxGraph) -> list[onnx.NodeProto]:
    """Return the products of something computed with weights, in order."""
    kinds = ("MatMul", "MatMulIntegerToFloat", "MatMulNBits")
    return [n for n in graph.nodes if n.op_type in kinds and graph.constant(n.input[1]) is not None]


def _tables(graph: OnnxGraph) -> list[onnx.NodeProto]:
    """Return the look-ups of embeddings, in order; those of the steps of whole numbers have one column."""
    tables = ((n, graph.constant(n.input[0])) for n in graph.nodes if n.op_type == "Gather")
    return [n for n, table in tables if table is not None and table.ndim == 2 and table.shape[1] > 1]


def _key(value: NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    """Return what tells an array from others of random numbers."""
    return value.shape, np.ascontiguousarray(value.reshape(-1)[:64], np.float32).tobytes()
