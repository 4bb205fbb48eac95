"""Backends: all give the scores of onnxruntime, the fastest is found, and what is missing is said."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from transformers import BertForSequenceClassification

from prefmodel.backends.choose import AVAILABLE, states
from prefmodel.bundle import Bundle, write_manifest
from prefmodel.cli import main
from prefmodel.errors import BundleError, InputError
from prefmodel.files import write_pairs
from prefmodel.model import PreferenceModel
from prefmodel.rewards.scorer import SharedModel
from prefmodel.types import CONTRIBUTIONS
from tests.command import BAD, COMMAND, GOOD, QUESTION, fails, succeeds
from tests.hostile import with_graph
from tests.small_base import write_base
from tests.small_run import labels
from tests.tiny import ENCODING, TRAINING, build_bundle, tiny_graph, tiny_tokenizer

CLOSE = 0.15
"""Logits by which scores in bfloat16, or in int8 of another kind, may differ from those of onnxruntime."""
ANSWERS = [
    "Air scatters short waves of light more than long ones, so blue light reaches us from all sides.",
    "The sky is blue because air scatters blue light.",
    "It depends on many things, and different people have different opinions about it.",
    "The capital of France is Paris, which lies on the Seine. " * 2,
]


def load(folder: Path | None, backend: str | None, **options: Any) -> PreferenceModel:
    return PreferenceModel.from_pretrained(folder, threads=2, backend=backend, **options)


@pytest.fixture(scope="module")
def torch_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with weights for torch, exported from a small BERT."""
    folder = tmp_path_factory.mktemp("torch")
    pairs = labels(Random(0), 2000)
    base = write_base(folder / "base", [f"{p.question} {p.chosen} {p.rejected}" for p in pairs] + [QUESTION, *ANSWERS])
    classifier = BertForSequenceClassification.from_pretrained(base)
    classifier.classifier.weight.data *= 20  # so that scores are logits apart
    classifier.save_pretrained(base)
    write_pairs(folder / "pairs.jsonl", pairs)
    arguments = ["export", base, "-o", folder / "bundle", "--heldout", folder / "pairs.jsonl"]
    done = CliRunner().invoke(main, [*map(str, arguments), "--precision", "float32", "--torch"])
    assert done.exit_code == 0, done.output
    return folder / "bundle"


# Scores


@pytest.mark.parametrize("bundle", ["tiny", "default"])
def test_openvino_gives_the_scores_of_onnxruntime(bundle, tiny_bundle):
    folder = tiny_bundle if bundle == "tiny" else None
    expected = load(folder, "onnxruntime").score_batch([QUESTION] * 4, ANSWERS)
    model = load(folder, "openvino")
    got = model.score_batch([QUESTION] * 4, ANSWERS)
    assert (model.backend.name, model.backend.device) == ("openvino", "cpu")
    assert got.scores.dtype == got.contributions.dtype == np.float32
    np.testing.assert_allclose(got.scores, expected.scores, atol=CLOSE)
    np.testing.assert_allclose(got.contributions, expected.contributions, atol=CLOSE)
    if bundle == "default":
        assert np.diff(expected.scores[1:]).max() < -1  # so that the ranking is a clear one, but for the first two
        assert got.scores[:2].min() > got.scores[2] > got.scores[3]


def test_openvino_runs_the_graph_that_is_asked_for(tiny_bundle):
    scores = {p: load(tiny_bundle, "openvino", precision=p).score(QUESTION, GOOD) for p in ("int8", "float32")}
    assert scores["int8"] != scores["float32"]


def test_torch_gives_the_scores_of_onnxruntime(torch_bundle):
    expected = load(torch_bundle, "onnxruntime").score(QUESTION, ANSWERS)
    model = load(torch_bundle, "torch")
    assert (model.backend.name, model.backend.device) == ("torch", "cpu")
    np.testing.assert_allclose(model.score(QUESTION, ANSWERS), expected, atol=CLOSE)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_packed_rows_give_the_scores_of_padded_ones(torch_bundle, bfloat16):
    from training.torch_backend import TorchBackend

    bundle = Bundle.open(torch_bundle)
    encoder = bundle.encoder()
    batch = encoder.pad(encoder.encode_batch([QUESTION] * 4, ANSWERS))
    padded, packed = (TorchBackend(bundle, 2, "cpu", way, bfloat16) for way in (False, True))
    assert (padded.packed, packed.packed) == (False, True)
    expected, got = padded.run(batch), packed.run(batch)
    np.testing.assert_allclose(got[0], expected[0], atol=CLOSE if bfloat16 else 1e-4)
    np.testing.assert_allclose(got[1], expected[1], atol=CLOSE if bfloat16 else 1e-4)
    assert np.ptp(got[0]) > 5 * CLOSE


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "torch"])
def test_threads_get_their_own_scores(torch_bundle, backend):
    model = load(torch_bundle, backend)
    questions = [f"Why {word}?" for word in ("sky", "beer", "air", "blue", "egg", "tea")] * 4
    expected = [model.score(q, ANSWERS) for q in questions]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda q: model.score(q, ANSWERS), questions))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_outputs_are_checked_by_all(copied_bundle):
    """A graph whose logits are one row for all, whatever it declares."""
    graph = tiny_graph(tiny_tokenizer().get_vocab_size())
    graph.graph.node[-1].output[0] = "right"
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), "first"))
    graph.graph.node.append(onnx.helper.make_node("Gather", ["right", "first"], ["logits"], axis=0))
    folder = with_graph(copied_bundle, graph)
    for backend in ("onnxruntime", "openvino"):
        model = load(folder, backend, precision="int8")
        with pytest.raises(BundleError, match="allowed: one row for each"):
            model.score("Why?", ["Because.", "No."])


def test_operators_are_checked_before_openvino_reads_them(copied_bundle):
    graph = tiny_graph(200)
    graph.graph.node[2].op_type = "NonZero"
    with pytest.raises(BundleError, match="uses the operator"):
        load(with_graph(copied_bundle, graph), "openvino", precision="int8")


# Choice


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fastest backend be taken."""
    monkeypatch.delenv("PREFMODEL_BACKEND")


@pytest.mark.usefixtures("free")
def test_the_fastest_is_taken(tiny_bundle):
    model = load(tiny_bundle, None, precision="float32")
    assert model.backend.name == "openvino"
    assert set(model.passed_over) == {"torch", "onnxruntime-cuda", "onnxruntime-tensorrt"}


def test_the_environment_chooses(tiny_bundle, monkeypatch):
    monkeypatch.setenv("PREFMODEL_BACKEND", "openvino")
    assert load(tiny_bundle, None).backend.name == "openvino"
    assert load(tiny_bundle, "onnxruntime").backend.name == "onnxruntime"


def test_a_reward_keeps_its_backend_in_another_process(tiny_bundle, monkeypatch):
    pickled = pickle.dumps(SharedModel(tiny_bundle, threads=1, backend="openvino"))
    assert pickle.loads(pickled).model.backend.name == "openvino"
    with pytest.raises(InputError, match="backend is openvino; allowed: none for a model that is loaded"):
        SharedModel(load(tiny_bundle, None), backend="openvino")


@pytest.mark.parametrize("name", ["nonsense", "", 7, "OpenVINO"])
def test_unknown_name(tiny_bundle, name):
    with pytest.raises(InputError, match=r"backend is .*; allowed: torch, .*openvino, onnxruntime, or none") as caught:
        load(tiny_bundle, name)
    assert str(caught.value).isprintable()


def test_a_bundle_without_weights_for_torch(tiny_bundle):
    message = "'torch', which needs the weights for torch.*export --torch.*; allowed here: openvino, onnxruntime$"
    with pytest.raises(InputError, match=message):
        load(tiny_bundle, "torch")


def test_weights_of_another_architecture(torch_bundle, tmp_path):
    from shutil import copytree

    from prefmodel.bundle import write_manifest

    folder = copytree(torch_bundle, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    bundle = Bundle.open(torch_bundle)
    write_manifest(folder, bundle.encoding, bundle.contributions, 1.0, {})
    with pytest.raises(BundleError, match=r"model\.safetensors: not the weights of config\.json"):
        load(folder, "torch")
    assert load(folder, "onnxruntime").score(QUESTION, GOOD) == load(torch_bundle, None).score(QUESTION, GOOD)


def test_damaged_weights_for_torch(torch_bundle, tmp_path):
    from shutil import copytree

    folder = copytree(torch_bundle, tmp_path / "damaged")
    content = bytearray((folder / "heads.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "heads.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match=r"heads\.safetensors: damaged"):
        load(folder, "onnxruntime")


def apart(code: str, *arguments: object, path: Path | None = None) -> str:
    """Run code in a process of its own that may choose the backend, and return what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PREFMODEL_BACKEND"}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_without_openvino(tiny_bundle):
    code = """
import sys
sys.modules["openvino"] = None
from prefmodel.errors import InputError
from prefmodel.model import PreferenceModel
model = PreferenceModel.from_pretrained(sys.argv[1])
print(model.backend.name, model.passed_over["openvino"], sep="\\n")
try:
    PreferenceModel.from_pretrained(sys.argv[1], backend="openvino")
except InputError as error:
    print(error)
"""
    needs = "needs the extra 'openvino': pip install 'prefmodel[openvino]'"
    error = f"backend is 'openvino', which {needs}; allowed here: onnxruntime"
    assert apart(code, tiny_bundle).splitlines() == ["onnxruntime", needs, error]


def test_a_broken_openvino_is_passed_over(tiny_bundle, tmp_path):
    (tmp_path / "openvino.py").write_text('raise ImportError("libtbb.so: cannot be\\nfound")')
    code = "import sys; from prefmodel.cli import main; main()"
    told = json.loads(apart(code, "info", "--json", "--model", tiny_bundle, path=tmp_path))
    assert told["backend"] == {"name": "onnxruntime", "compute": "int8", "device": "cpu"}
    assert told["backends"]["openvino"] == "cannot be opened: libtbb.so: cannot be found"
    code = "import sys; from prefmodel import PreferenceModel as P; P.from_pretrained(sys.argv[1], backend='openvino')"
    with pytest.raises(AssertionError, match=r"InputError: backend is 'openvino', which cannot be opened: libtbb"):
        apart(code, tiny_bundle, path=tmp_path)


def test_choosing_imports_nothing_that_is_not_used(tiny_bundle):
    code = """
import sys
sys.modules["openvino"] = None
from prefmodel.model import PreferenceModel
PreferenceModel.from_pretrained(sys.argv[1])
print([name for name in ("torch", "transformers", "training") if name in sys.modules])
"""
    assert apart(code, tiny_bundle) == "[]\n"


THIRD_PARTY = """
import numpy as np

class Constant:
    name, compute, device, contributions, batch_tokens = "constant", "float32", "cpu", 6, 100

    def run(self, batch):
        rows = len(batch["input_ids"])
        return np.full(rows, 3.0, np.float32), np.full((rows, 6), 0.5, np.float32)

def open_it(bundle, threads):
    return Constant()

def fail(bundle, threads):
    raise OSError("no such\\ndevice")
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.py").write_text(THIRD_PARTY)
    facts = tmp_path / "elsewhere-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    names = "constant = elsewhere:open_it\nfailing = elsewhere:fail\nonnxruntime = elsewhere:fail\n"
    (facts / "entry_points.txt").write_text(f"[prefmodel.backends]\n{names}")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("third_party", "free")
def test_a_backend_of_another_package(tiny_bundle):
    assert load(tiny_bundle, "constant").score(QUESTION, [GOOD, BAD]).tolist() == [3.0, 3.0]
    assert states(Bundle.open(tiny_bundle))["constant"] == AVAILABLE
    assert load(tiny_bundle, None).backend.name in ("openvino", "onnxruntime")  # others have to be asked for
    with pytest.raises(InputError, match="'failing', which cannot be opened: no such device"):
        load(tiny_bundle, "failing")


@pytest.mark.usefixtures("third_party")
def test_another_package_does_not_take_a_name_of_ours(tiny_bundle):
    assert load(tiny_bundle, "onnxruntime").score(QUESTION, GOOD) != 3.0


# The command line


def test_info_tells_what_runs_it(run):
    told = json.loads(succeeds(run("info", "--json", "--backend", "openvino")))
    assert told["backend"]["name"] == "openvino"
    assert list(told["backends"]) == ["torch", "onnxruntime-cuda", "onnxruntime-tensorrt", "openvino", "onnxruntime"]
    assert told["backends"]["onnxruntime"] == AVAILABLE
    assert "weights for torch" in told["backends"]["torch"]
    text = succeeds(run("info"))
    assert "  name: onnxruntime\n" in text
    assert "  openvino: available\n" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "--question", QUESTION, "--answer", GOOD),
        ("rank", "--question", QUESTION, GOOD, BAD),
        ("compare", "--question", QUESTION, "--a", GOOD, "--b", BAD),
        ("explain", "--question", QUESTION, "--answer", GOOD),
        ("info",),
        ("probe",),
        ("tune",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_takes_it(run: Callable[..., Result], arguments):
    fails(run(*arguments, "--backend", "nonsense"), "backend is 'nonsense'; allowed: ")


def test_evaluate_takes_it(run, tmp_path):
    write_pairs(tmp_path / "pairs.jsonl", labels(Random(0), 4))
    fails(run("evaluate", tmp_path / "pairs.jsonl", "--backend", "nonsense"), "backend is 'nonsense'; allowed: ")


def test_serve_takes_it(tiny_bundle):
    command = [*COMMAND, "serve", "--model", str(tiny_bundle), "--port", "0", "--backend", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "error: backend is 'nonsense'; allowed: " in done.stderr


def test_score_takes_it(run, tmp_path):
    row = {"question": QUESTION, "answers": [GOOD, BAD]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    found = {}
    for backend in ("onnxruntime", "openvino"):
        out = tmp_path / f"{backend}.jsonl"
        result = run("score", tmp_path / "rows.jsonl", "-o", out, "--backend", backend)
        assert result.exit_code == 0, result.output
        found[backend] = json.loads(out.read_text())["scores"]
    assert found["openvino"] == pytest.approx(found["onnxruntime"], abs=CLOSE)
    assert found["openvino"] != found["onnxruntime"]


def test_no_bundle_is_opened_for_a_wrong_number_of_threads(tmp_path):
    folder = build_bundle(tmp_path / "tiny")
    for backend in ("onnxruntime", "openvino", None):
        with pytest.raises(InputError, match="threads is 0"):
            PreferenceModel.from_pretrained(folder, threads=0, backend=backend)
        with pytest.raises(InputError, match=r"threads is 5000; allowed: 1 to \d+; more than there are CPUs only cost"):
            PreferenceModel.from_pretrained(folder, threads=5000, backend=backend)


@pytest.mark.parametrize(
    ("config", "compute"), [({}, "bfloat16"), ({"is_encoder_decoder": True}, "float32")], ids=["encoder", "both"]
)
def test_openvino_computes_encoder_decoders_in_float32(tiny_bundle, tmp_path, config, compute):
    """Activations of the T5 family are too large for bfloat16."""
    openvino = pytest.importorskip("openvino", reason="needs the extra openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bfloat16")
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    write_manifest(folder, ENCODING, CONTRIBUTIONS, 1.5, TRAINING)
    assert load(folder, "openvino", precision="float32").backend.compute == compute
