"""A sentence encoder: texts to vectors, by an ONNX graph, whose dot products tell how alike the texts are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prefmodel.errors import BundleError, InputError, one_line, shown

GRAPHS = ("onnx/model.onnx", "model.onnx")

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

        folder, graph = find_encoder(name)
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


def find_encoder(name: str | Path) -> tuple[Path, Path]:
    """Return the folder of an encoder, which is downloaded if need be, and its graph.

    Args:
        name: as for `SentenceEncoder`.

    Raises:
        InputError: the name is neither a folder nor one of the Hub.
        BundleError: a file is missing, or the Hub does not answer.
    """
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
