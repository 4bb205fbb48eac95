"""What is compared: each peer in a virtual environment of its own, and the model in the shape that each wants."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "peer_workers"
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"

ENVIRONMENTS = {
    "sentence-transformers": "sentence-transformers[openvino]==6.2.0",
    # The newest whose onnx extra installs: from 6.0 on it needs transformers 5, and optimum-onnx 0.1 needs one below.
    "sentence-transformers-onnx": "sentence-transformers[onnx]==5.7.0",
    "flashrank": "flashrank==0.2.10",
    "sentence-transformers-train": "sentence-transformers[train]==6.2.0",
}
UNWANTED = ("torchvision",)
"""The openvino extra brings it; PyPI's is built for CUDA's torch, beside another transformers cannot be imported."""

FLASHRANK_NAME, FLASHRANK_GRAPH = "ms-marco-MiniLM-L-12-v2", "flashrank-MiniLM-L-12-v2_Q.onnx"
"""FlashRank takes only models that it knows by name, each with a name for its graph. The graph is ours."""

BASELINE = "sentence-transformers torch float32"
OURS = "prefmodel"


@dataclass(frozen=True)
class Configuration:
    """One way to score or to train: which worker, in which environment (None is this one), with which options.

    The script is a file of `WORKERS`, or a module's name.
    """

    name: str
    script: str
    environment: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


class WorkerError(Exception):
    """A worker did not start or ended early; the text is the last line that it wrote to stderr."""


def python(environment: str | None, folder: Path) -> Path:
    """Return the interpreter of an environment, which is made first where `folder` does not have it."""
    if environment is None:
        return Path(sys.executable)
    place, wanted = folder / environment, ENVIRONMENTS[environment]
    interpreter, ready = place / "bin" / "python", place / "prefmodel-ready"
    if not ready.is_file() or ready.read_text() != wanted:
        print(f"installing {wanted} in {place}", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(interpreter), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-c", str(CONSTRAINTS), wanted], check=True)
        subprocess.run([*pip, "uninstall", "--yes", *UNWANTED], check=True)
        ready.write_text(wanted)
    return interpreter


def configurations(bundle: Path, checkpoint: Path, work: Path, max_tokens: int) -> Iterator[Configuration]:
    """Yield all that may be compared; those that this machine or version does not have fail when they start.

    Args:
        bundle: ours, with a float32 graph, as `wide_bundle` gives it.
        checkpoint: a sequence classifier of transformers with the same weights.
        work: a folder for what the peers need, as `prepare` fills it.
        max_tokens: of one input.
    """
    for kind in ("onnxruntime int8", "onnxruntime float32", "openvino int8", "openvino float32", "torch float32"):
        backend, precision = kind.split()
        options = {"bundle": str(bundle), "backend": backend, "precision": precision}
        yield Configuration(f"{OURS} {kind}", "ours.py", None, options)

    def cross_encoder(kind: str, folder: Path, **more: str) -> Configuration:
        backend, precision = kind.split()
        environment = "sentence-transformers" + ("-onnx" if backend == "onnx" else "")
        options = {"folder": str(folder), "backend": backend, "precision": precision, "max_length": max_tokens, **more}
        return Configuration(f"sentence-transformers {kind}", "cross_encoder.py", environment, options)

    yield cross_encoder("torch float32", checkpoint)
    yield cross_encoder("torch bfloat16", checkpoint)
    yield cross_encoder("openvino default", work / "openvino")  # it chooses the precision
    yield cross_encoder("onnx float32", bundle)
    yield cross_encoder("onnx int8", work / "int8", file="onnx/model_quantized.onnx")
    options = {"folder": str(work / "flashrank"), "name": FLASHRANK_NAME, "max_length": max_tokens}
    yield Configuration("flashrank onnx float32", "flash.py", "flashrank", options)


def quantization() -> str:
    """Return the recipe of sentence-transformers that fits this CPU."""
    path = Path("/proc/cpuinfo")
    flags = path.read_text() if path.is_file() else ""
    if os.uname().machine in ("arm64", "aarch64"):
        return "arm64"
    return "avx512_vnni" if "avx512_vnni" in flags else "avx512" if "avx512f" in flags else "avx2"


def wide_bundle(bundle: Path, folder: Path, max_tokens: int, question_tokens: int) -> Path:
    """Copy a bundle and let it read more tokens, so that it reads as many as the peers; return the copy."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "prefmodel.json").read_text(encoding="utf-8"))
    manifest["encoding"] |= {"max_tokens": max_tokens, "question_tokens": question_tokens}
    (folder / "prefmodel.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def prepare(bundle: Path, checkpoint: Path, work: Path, environments: Path, max_tokens: int) -> None:
    """Write what peers need beside bundle and checkpoint: FlashRank's folder, and what `convert.py` converts."""
    folder = work / "flashrank" / FLASHRANK_NAME
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(bundle / name, folder)
    shutil.copy(bundle / "onnx" / "model.onnx", folder / FLASHRANK_GRAPH)
    pad = padding(bundle)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": max_tokens, "pad_token": pad}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad}))

    for environment, arguments in (
        ("sentence-transformers", ["openvino", checkpoint, work / "openvino"]),
        ("sentence-transformers-onnx", ["int8", checkpoint, work / "int8", quantization()]),
    ):
        command = [python(environment, environments), WORKERS / "convert.py", *arguments]
        subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)


def padding(bundle: Path) -> str:
    """Return the text of the padding token."""
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    tokens = json.loads((bundle / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return next(str(token["content"]) for token in tokens if token["id"] == config["pad_token_id"])
