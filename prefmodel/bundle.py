"""A bundle: the folder that holds a model for serving; opened only after every file in it was checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from prefmodel.bundle_files import (
    GRAPHS,
    LIMITS,
    MANIFEST,
    TOKENIZER_SETTINGS,
    TORCH,
    check_file,
    facts,
    read_manifest,
)
from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import BundleError, InputError, one_line, shown
from prefmodel.files import whole_file
from prefmodel.tokenizer_file import TokenizerFile
from prefmodel.types import CONTRIBUTIONS, LENGTH

FORMAT = 1
FILES = ("config.json", "tokenizer.json")
DEFAULT = Path(__file__).parent / "default"

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle, every file of which is what its `prefmodel.json` says.

    Args:
        folder: where it lies.
        encoding: how its model reads a question and an answer.
        contributions: names of the score's parts, in the order of the graph's columns.
        temperature: logits; the probability that a beats b is sigmoid((score of a - score of b) / temperature).
        onnx: the graph to run.
        precision: "int8", "float32" or "float16", of that graph.
        asked: the precision that was asked for, or None.
        info: what `prefmodel.json` holds; `info["training"]` tells what the model was trained on.

    Example:
        >>> bundle = Bundle.open(None)
        >>> bundle.temperature > 0, bundle.contributions[0]
        (True, 'usefulness')
    """

    folder: Path
    encoding: EncodingConfig
    contributions: tuple[str, ...]
    temperature: float
    onnx: Path
    precision: str
    asked: str | None
    info: Mapping[str, Any]

    @classmethod
    def open(
        cls, path_or_hub_name: str | Path | None = None, revision: str | None = None, precision: str | None = None
    ) -> Bundle:
        """Find, check and open a bundle.

        Args:
            path_or_hub_name: a folder; or `owner/name` on the Hugging Face Hub; or None for the default bundle, which
                is part of the package.
            revision: branch, tag or commit, for the Hub only.
            precision: "int8", "float32" or "float16"; by default int8 where the bundle has it, else float32.

        Raises:
            BundleError: there is no such bundle, or it is damaged; the text names the file.
            InputError: `precision` or `revision` is not what is allowed.
        """
        if precision is not None and precision not in GRAPHS:
            raise InputError(f"precision is {shown(precision)}; allowed: {', '.join(GRAPHS)} or none")
        folder = _find(path_or_hub_name, revision)
        info = read_manifest(folder)
        _check_manifest(folder / MANIFEST, info)
        files = info["files"]
        choice = [precision] if precision else [p for p in GRAPHS if p != "float16"]
        present = [p for p in choice if GRAPHS[p] in files]
        wanted = " or ".join(GRAPHS[p] for p in choice)
        if precision and not present:
            has = ", ".join(p for p in GRAPHS if GRAPHS[p] in files)
            raise InputError(f"precision is {shown(precision)}; allowed: {has or 'none'}, which {folder} has")
        for name in [*FILES, *([] if present else [wanted])]:
            if name not in files:
                raise BundleError(f"{folder / MANIFEST}: files does not list {name}")
        for name, expected in files.items():
            check_file(folder, name, expected)
        return cls(
            folder,
            EncodingConfig(**info["encoding"]),
            tuple(info["contributions"]),
            float(info["temperature"]),
            folder / GRAPHS[present[0]],
            present[0],
            precision,
            info,
        )

    @property
    def graphs(self) -> dict[str, Path]:
        """The graph of each precision, for backends that run another one better; only the one that was asked for."""
        files = self.info["files"]
        return {p: self.folder / g for p, g in GRAPHS.items() if g in files and self.asked in (None, p)}

    @property
    def experimental(self) -> tuple[str, ...]:
        """Names of the contributions that no record shows to tell best on held-out pairs of their principle."""
        accuracy = self.info["training"].get("accuracy")
        trusted = accuracy.get("trusted") if isinstance(accuracy, dict) else None
        shown = (LENGTH, *trusted) if isinstance(trusted, list) else (LENGTH,)  # a length is what it says
        return tuple(name for name in self.contributions if name not in shown)

    def encoder(self) -> PairEncoder:
        """Return the encoder of questions and answers; raise BundleError when the tokenizer cannot be read."""
        return TokenizerFile(self.folder / "tokenizer.json", self.encoding)


def write_manifest(
    folder: str | Path,
    encoding: EncodingConfig,
    contributions: Sequence[str],
    temperature: float,
    training: Mapping[str, Any],
) -> None:
    """Write the `prefmodel.json` of a folder that has all other files of a bundle.

    The checksums cover `config.json`, `tokenizer.json`, its settings, the graphs and the weights for torch. They leave
    out `README.md`, so that people may edit the card.

    Args:
        folder: the bundle's folder.
        encoding: how the model reads a question and an answer.
        contributions: names of the score's parts, in the order of the graph's columns.
        temperature: logits, above 0.
        training: JSON values: base, recipe, data (file, sha256, licence and rows of each), pairs by axiom, accuracy.

    Raises:
        BundleError: a file is missing or an argument is not what `Bundle.open` allows.
    """
    folder = Path(folder)
    graphs = [graph for graph in GRAPHS.values() if (folder / graph).is_file()]
    others = [name for name in (TOKENIZER_SETTINGS, *TORCH) if (folder / name).is_file()]
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing or not graphs:
        raise BundleError(f"{folder / (missing or list(GRAPHS.values()))[0]}: no such file")
    manifest = {
        "format": FORMAT,
        "encoding": asdict(encoding),
        "contributions": list(contributions),
        "temperature": temperature,
        "files": {name: facts(folder / name) for name in sorted([*FILES, *graphs, *others])},
        "training": dict(training),
    }
    _check_manifest(folder / MANIFEST, manifest)
    with whole_file(folder / MANIFEST) as temporary:
        text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _find(path_or_hub_name: str | Path | None, revision: str | None) -> Path:
    if path_or_hub_name is None:
        folder = DEFAULT
    elif isinstance(path_or_hub_name, str | Path) and str(path_or_hub_name).strip():
        folder = Path(path_or_hub_name)
    else:
        raise InputError(f"the bundle is {shown(path_or_hub_name)}; allowed: a folder, owner/name on the Hub, or none")
    local = folder.is_dir()
    if not local and isinstance(path_or_hub_name, str) and _HUB_NAME.fullmatch(path_or_hub_name):
        return _download(path_or_hub_name, revision)
    if not local and path_or_hub_name is None:
        raise BundleError(f"{folder}: this install has no default bundle; name a folder, or owner/name on the Hub")
    if not local:
        raise BundleError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    if revision is not None:
        raise InputError(f"revision is {shown(revision)}; allowed: none, because {folder} is a local folder")
    return folder


def _download(name: str, revision: str | None) -> Path:
    import huggingface_hub

    wanted = [MANIFEST, "README.md", *FILES, *GRAPHS.values(), TOKENIZER_SETTINGS, *TORCH]
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:  # of the hub, of its HTTP client, of the file system: no common base
        raise BundleError(f"{name}: no such folder, and not to be had from the Hub: {one_line(error)}") from None


def _check_manifest(path: Path, manifest: Any) -> None:
    """Raise BundleError that names file, field, value and what is allowed."""

    def check(good: bool, field: str, value: object, allowed: str) -> None:
        if not good:
            raise BundleError(f"{path}: {field} is {shown(value)}; allowed: {allowed}")

    names = {"format", "encoding", "contributions", "temperature", "files", "training"}
    check(isinstance(manifest, dict), "the content", manifest, "an object")
    version = manifest.get("format")
    check(version == FORMAT, "format", version, f"{FORMAT}; a newer prefmodel may know it")
    check(manifest.keys() == names, "the list of fields", sorted(manifest), ", ".join(sorted(names)))

    parts = manifest["contributions"]
    names_of_parts = (*CONTRIBUTIONS, LENGTH)
    known = isinstance(parts, list) and parts and all(p in names_of_parts for p in parts)
    check(
        bool(known) and len({*parts}) == len(parts),
        "contributions",
        parts,
        f"different ones of {', '.join(names_of_parts)}",
    )
    temperature = manifest["temperature"]
    check(_is_number(temperature) and 0 < temperature <= 1e6, "temperature", temperature, "above 0, up to 1e6")
    check(isinstance(manifest["training"], dict), "training", manifest["training"], "an object")
    _check_encoding(path, manifest["encoding"], check)

    check(isinstance(manifest["files"], dict), "files", manifest["files"], "an object")
    for name, entry in manifest["files"].items():
        check(name in LIMITS, "a name in files", name, ", ".join(LIMITS))
        field = f"files[{name!r}]"
        check(isinstance(entry, dict) and entry.keys() == {"sha256", "bytes"}, field, entry, "sha256 and bytes")
        digest, size = entry["sha256"], entry["bytes"]
        check(isinstance(digest, str) and bool(_HEX.fullmatch(digest)), f"{field} sha256", digest, "64 hex digits")
        check(_is_number(size, int) and 0 <= size <= LIMITS[name], f"{field} bytes", size, f"0 to {LIMITS[name]}")


def _check_encoding(path: Path, encoding: Any, check: Any) -> None:
    names = [f.name for f in fields(EncodingConfig)]
    check(isinstance(encoding, dict) and encoding.keys() == set(names), "encoding", encoding, ", ".join(names))
    for name in ("max_tokens", "question_tokens"):
        check(_is_number(encoding[name], int), f"encoding {name}", encoding[name], "a whole number")
    check(_is_number(encoding["head_share"]), "encoding head_share", encoding["head_share"], "0 to 1")
    check(isinstance(encoding["mark"], str), "encoding mark", encoding["mark"], "text")
    try:
        EncodingConfig(**encoding)
    except InputError as error:
        raise BundleError(f"{path}: encoding {error}") from None


def _is_number(value: object, kind: Any = (int, float)) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
