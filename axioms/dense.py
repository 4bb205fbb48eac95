"""Threads with a similar but different question, by a sentence encoder: what BM25 misses for want of a common word."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axioms.neighbours import Neighbour, by_source, shared
from axioms.text import content_words
from prefmodel.errors import BundleError, InputError, missing_extra, one_line, shown
from prefmodel.files import sha256
from prefmodel.types import Thread

GRAPHS = ("onnx/model.onnx", "model.onnx")
EXACT = 20_000
"""Threads of a source up to which every two are compared; from there on an approximate index (HNSW) searches."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_POOLED = "sentence_embedding"


class SentenceEncoder:
    """Texts to vectors of length 1, by an ONNX graph.

    The vector is the graph's output `sentence_embedding` where it has one, else the mean of its first output over the
    tokens that are no padding.

    Args:
        name: a folder, or owner/name on the Hub, with `tokenizer.json` and `onnx/model.onnx` or `model.onnx`.
        max_tokens: of a text; the rest is not read. The title of a question comes first.
        batch: texts that run at once.
        threads: of the CPU.

    Raises:
        InputError: the name is neither, or the graph wants inputs that no tokenizer gives.
        BundleError: a file is missing or cannot be read, or the Hub does not answer.

    Example: `SentenceEncoder("sentence-transformers/all-MiniLM-L6-v2").encode(["Why is the sky blue?"])`.
    """

    def __init__(self, name: str | Path, max_tokens: int = 128, batch: int = 64, threads: int = 1):
        import onnxruntime
        from tokenizers import Tokenizer

        folder, graph = _find(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of tokenizers and of onnxruntime: no common base
            raise BundleError(f"{folder}: the encoder cannot be read: {one_line(error)}") from None
        self._tokenizer.enable_truncation(max_tokens)
        padding = self._tokenizer.token_to_id("[PAD]") or self._tokenizer.token_to_id("<pad>") or 0
        self._tokenizer.enable_padding(pad_id=padding)
        self._batch = batch
        self._inputs = [node.name for node in self._session.get_inputs()]
        strange = {*self._inputs} - {"input_ids", "attention_mask", "token_type_ids"}
        if strange:
            raise InputError(f"{graph} wants the input {shown(min(strange))}; allowed: those of a text encoder")
        outputs = [node.name for node in self._session.get_outputs()]
        self._output = _POOLED if _POOLED in outputs else outputs[0]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, (texts, width), each of length 1; their dot product is the cosine."""
        # Texts of like length share a batch, so that little is padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            found.update(zip(rows, self._run([texts[i] for i in rows]), strict=True))
        return np.array([found[i] for i in range(len(texts))], np.float32)

    def _run(self, texts: list[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(texts)
        mask = np.array([e.attention_mask for e in encodings], np.int64)
        given = {
            "input_ids": np.array([e.ids for e in encodings], np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([e.type_ids for e in encodings], np.int64),
        }
        [output] = self._session.run([self._output], {name: given[name] for name in self._inputs})
        if output.ndim == 3:  # (texts, tokens, width)
            output = (output * mask[..., None]).sum(1) / np.maximum(mask.sum(1, keepdims=True), 1)
        length = np.linalg.norm(output, axis=1, keepdims=True)
        return np.asarray(output / np.maximum(length, 1e-12), np.float32)


@lru_cache(maxsize=1)
def encoder_named(name: str) -> SentenceEncoder:
    """Return an encoder; the next block of threads gets the same one."""
    return SentenceEncoder(name)


def dense_neighbours(
    threads: Sequence[Thread],
    encoder: SentenceEncoder,
    depth: int = 20,
    same: float = 0.6,
    alike: float = 0.85,
    exact: int = EXACT,
) -> Iterator[tuple[list[Neighbour], set[int]]]:
    """Yield for each thread its most similar threads of its source, best first, and its near-duplicates.

    Args:
        threads: the threads to search and to search for.
        encoder: makes the vectors of their questions.
        depth: look at so many candidates for each thread.
        same: share of content words (Jaccard) from which two questions are taken for near-duplicates.
        alike: cosine from which they are, too; these are no neighbours.
        exact: threads of a source up to which every two are compared.

    Raises:
        MissingExtraError: usearch is not installed.
    """
    found: dict[int, tuple[list[Neighbour], set[int]]] = {}
    for members in by_source(threads):
        questions = [threads[i].question for i in members]
        vocabulary = [content_words(question) for question in questions]
        for own, hits in enumerate(_nearest(encoder.encode(questions), depth, len(members) <= exact)):
            copies = {
                hit for hit, cosine in hits if cosine >= alike or shared(vocabulary[own], vocabulary[hit]) >= same
            }
            kept = [(members[hit], cosine) for hit, cosine in hits if hit not in copies and hit != own and cosine > 0]
            ranked = [Neighbour(hit, rank, cosine, "dense") for rank, (hit, cosine) in enumerate(kept)]
            found[members[own]] = ranked, {members[hit] for hit in copies - {own}}
    for index in range(len(threads)):
        yield found[index]


def _nearest(vectors: NDArray[np.float32], depth: int, exact: bool) -> Iterator[list[tuple[int, float]]]:
    """Yield for each vector (index, cosine) of the nearest `depth` + 1, itself among them, best first."""
    try:
        from usearch.index import Index
    except ImportError:
        raise missing_extra("dense retrieval", "axioms") from None
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
    # One thread, so that the graph of an approximate index is the same each time.
    index.add(np.arange(len(vectors)), vectors, threads=1)
    for vector in vectors:
        found = index.search(vector, depth + 1, exact=exact, threads=1)
        yield [(int(key), 1 - float(distance)) for key, distance in zip(found.keys, found.distances, strict=True)]


def encoder_hash(name: str | Path) -> str:
    """Return what tells an encoder from others: a SHA-256 of its tokenizer, its graph and the weights beside that.

    Args:
        name: as for `SentenceEncoder`.

    Raises:
        InputError, BundleError: as for `SentenceEncoder`, but for files that cannot be read.
    """
    folder, graph = _find(name)
    weights = sorted(graph.parent.glob(f"{graph.name}*"))
    hashes = [f"{path.name} {sha256(path)}" for path in (folder / "tokenizer.json", *weights)]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _find(name: str | Path) -> tuple[Path, Path]:
    """Return the folder of an encoder, which is downloaded if need be, and its graph."""
    folder = _folder(name)
    graph = next((folder / graph for graph in GRAPHS if (folder / graph).is_file()), None)
    if graph is None or not (folder / "tokenizer.json").is_file():
        raise BundleError(f"{folder}: no tokenizer.json with {' or '.join(GRAPHS)}; an encoder needs them")
    return folder, graph


def _folder(name: str | Path) -> Path:
    folder = Path(name)
    if str(name).strip() and folder.is_dir():
        return folder
    if not isinstance(name, str) or not _HUB_NAME.fullmatch(name):
        raise InputError(f"encoder is {shown(str(name))}; allowed: a folder, or owner/name on the Hub")
    import huggingface_hub

    wanted = ["tokenizer.json", *(f"{graph}*" for graph in GRAPHS)]  # weights may lie in a file beside the graph
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # of the hub, of its HTTP client, of the file system: no common base
        raise BundleError(f"{name}: no such folder, and not to be had from the Hub: {one_line(error)}") from None
