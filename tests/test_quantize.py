"""The int8 graph: fused, close to the float32 one whatever the weights, and no row depends on its neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForSequenceClassification, MPNetConfig, MPNetForSequenceClassification

from export.activations import Activations
from export.fuse import fuse
from export.graph import write_graph
from export.quantize import write_int8
from export.rounding import LARGEST_WEIGHT, choose_scale, rounded
from prefmodel.graph import check_graph
from training.model import PreferenceNet

SIZES = {"vocab_size": 3000, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
MODELS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZES, intermediate_size=128, num_labels=1)),
    "mpnet": lambda: MPNetForSequenceClassification(MPNetConfig(**SIZES, intermediate_size=128, num_labels=1)),
}


def batch(seed: int, lengths: list[int]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths))
    mask = (np.arange(shape[1]) < np.array(lengths)[:, None]).astype(np.int64)
    ids = generator.integers(5, 3000, shape) * mask
    types = (np.arange(shape[1]) >= shape[1] // 2).astype(np.int64) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def run(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["contributions"], {i.name: inputs[i.name] for i in session.get_inputs()})[0]


@pytest.fixture(scope="module", params=MODELS)
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    net = PreferenceNet(MODELS[request.param]())
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, 0.15)
        torch.nn.init.normal_(net.heads.weight)
    write_graph(net, folder / "float32.onnx", batch(0, [9, 12]))
    texts = [batch(seed, [20 + seed]) for seed in range(20)]
    write_int8(folder / "float32.onnx", folder / "int8.onnx", texts)
    write_int8(folder / "float32.onnx", folder / "blocks.onnx", texts, left_out=1.0)
    return {name: folder / f"{name}.onnx" for name in ("float32", "int8", "blocks")}


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]


def test_a_fused_graph_gives_the_same(graphs, tmp_path):
    model = onnx.load(str(graphs["float32"]))
    assert fuse(model) == {"Attention": 2, "Gelu": 2}
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "fused.onnx")
    assert not {"Softmax", "Erf"} & {*kinds(tmp_path / "fused.onnx")}
    for lengths in ([7], [3, 40, 11], [64] * 4):
        inputs = batch(3, lengths)
        want = run(graphs["float32"], inputs)
        assert run(tmp_path / "fused.onnx", inputs) == pytest.approx(want, abs=1e-4 * float(np.abs(want).max()))


def test_other_quantisers_take_the_float32_graph(graphs, tmp_path):
    """They infer shapes, and stopped at those that the exporter had noted of weights before it turned them round."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(graphs["float32"], tmp_path / "theirs.onnx")
    inputs = batch(5, [20, 9])
    assert run(tmp_path / "theirs.onnx", inputs) == pytest.approx(run(graphs["float32"], inputs), abs=3)


def test_every_product_is_one_of_whole_numbers(graphs):
    assert kinds(graphs["int8"]).count("MatMulIntegerToFloat") == 10  # six in each layer, but for the last two
    assert kinds(graphs["int8"]).count("MatMulNBits") == 2  # which see the first token alone
    assert kinds(graphs["blocks"]).count("MatMulNBits") == 12
    assert "MatMulIntegerToFloat" not in kinds(graphs["blocks"])


@pytest.mark.parametrize("name", ["int8", "blocks"])
def test_int8_is_close_and_admitted_to_bundles(graphs, name):
    inputs = batch(99, [30, 12, 25, 18])
    want, got = run(graphs["float32"], inputs), run(graphs[name], inputs)
    assert np.abs(got - want).max() < 0.1 * np.ptp(want)
    assert np.abs(got - want).max() > 0
    check_graph(graphs[name].read_bytes(), name)


def test_int8_is_smaller(graphs):
    assert graphs["int8"].stat().st_size < 0.6 * graphs["float32"].stat().st_size


@given(st.lists(st.integers(2, 60), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_a_row_does_not_depend_on_its_neighbours(graphs, lengths, seed):
    inputs = batch(seed, [*lengths, 60])
    together = run(graphs["int8"], inputs)
    for row, length in enumerate([*lengths, 60]):
        alone = run(graphs["int8"], {name: array[row : row + 1, :length] for name, array in inputs.items()})
        # Padding moves float sums in the last bits, which can carry an activation over the edge of a whole number.
        assert together[row] == pytest.approx(alone[0], abs=0.02 * float(np.ptp(together)) + 1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 20), st.floats(0.01, 100))
@settings(deadline=None, max_examples=50)
def test_rounding_is_no_worse_than_the_nearest_numbers(seed, channels, columns, spread):
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(channels, channels))
    inputs = (generator.normal(size=(300, channels)) @ mixing).astype(np.float32)
    weight = (generator.normal(size=(channels, columns)) * spread).astype(np.float32)
    whole, step = rounded(weight, inputs)
    assert whole.dtype == np.int8
    assert np.abs(whole).max() <= LARGEST_WEIGHT
    nearest = np.rint(weight / step)
    error, plain = (np.square(inputs @ (w * step - weight)).mean() for w in (whole, nearest))
    assert error <= plain * 1.001 + 1e-9


@given(st.integers(0, 2**32 - 1), st.floats(1, 1000))
@settings(deadline=None, max_examples=25)
def test_scale_covers_an_outlying_channel(seed, outlier):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(200, 16)).astype(np.float32)
    rows[:, 3] *= outlier
    weight = generator.normal(size=(16, 8)).astype(np.float32)
    scale, error = choose_scale(Activations(rows.min(0), rows.max(0), rows), weight)
    assert error < 0.05
    assert scale(rows) == pytest.approx(rows * scale.channels, abs=float(scale.step) * 200)
    assert 0 <= int(scale.zero) <= 255


def test_no_sum_of_two_products_leaves_16_bits():
    """CPUs without VNNI add pairs of products in 16 bits, and cut off what does not fit."""
    assert 2 * 255 * LARGEST_WEIGHT <= 2**15 - 1
