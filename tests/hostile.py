"""Changes that make a bundle hostile, with checksums that fit, so that what is behind them is reached."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from prefmodel.bundle import write_manifest
from prefmodel.types import CONTRIBUTIONS
from tests.tiny import ENCODING, TRAINING

ROOT = Path(__file__).parents[1]
GRAPH = "onnx/model_int8.onnx"
FILES = ("config.json", "tokenizer.json", "onnx/model.onnx", GRAPH)
HUGE = 1 << 40


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of everything in a folder."""
    found = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {str(path): (facts.st_size, facts.st_mtime_ns) for path, facts in found.items()}


def with_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    path = folder / "prefmodel.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return folder


def with_file(folder: Path, name: str, content: bytes) -> Path:
    """Replace a file and its checksum."""
    (folder / name).write_bytes(content)
    write_manifest(folder, ENCODING, CONTRIBUTIONS, 1.5, TRAINING)
    return folder


def with_graph(folder: Path, graph: onnx.ModelProto | bytes) -> Path:
    return with_file(folder, GRAPH, graph if isinstance(graph, bytes) else graph.SerializeToString())


def script(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=True)
    return done.stdout
