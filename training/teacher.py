"""A teacher: a model whose scores another one learns, and the file that keeps them while they are made."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from prefmodel.batching import length_batches
from prefmodel.bundle_files import GRAPHS, MANIFEST
from prefmodel.encoding import Encoding, EncodingConfig, PairEncoder
from prefmodel.errors import BundleError, FileFormatError, InputError, PrefModelError, one_line, shown
from prefmodel.model import Encoded, PreferenceModel
from prefmodel.types import Question
from training.measure import contributions
from training.model import HEADS, PreferenceNet, load_tokenizer

FLOAT = NDArray[np.float32]
Scorer = Callable[[Sequence[Encoding]], FLOAT]
"""Returns the scores of encoded answers, logits, float32 [n]."""

SAY_SECONDS = 30.0
"""So often a long scoring says how far it is, outside a terminal."""

_SCORE = np.dtype("<f4")


class Teacher:
    """A model whose scores are learned. Its tokenizer is read at once, so that a wrong name shows before long work.

    - A checkpoint of `prefmodel train`: its score is the sum of its contributions, and it reads texts as long as the
      recipe of its run says.
    - A bundle of `prefmodel export`: the same, but the score is divided by the bundle's temperature, so that the
      sigmoid of a difference is the probability that the bundle itself gives.
    - Any cross-encoder with one label: its score is its logit.

    Args:
        name: a folder, or the name of a cross-encoder on the Hub.
        encoding: how much it reads of a question and an answer, where it does not say so itself.
        batch_tokens: padded tokens of one forward pass.

    Raises:
        InputError: there is no such model, or it has no tokenizer.
        FileFormatError: the record of its run cannot be read.

    >>> try:
    ...     Teacher("no/such/folder", EncodingConfig(), batch_tokens=1024)
    ... except InputError as error:
    ...     print(str(error)[:90])
    distil.teachers holds 'no/such/folder'; allowed: a run, a bundle or a cross-encoder with o
    """

    def __init__(self, name: str, encoding: EncodingConfig, batch_tokens: int):
        self.name, self.batch_tokens = name, batch_tokens
        self._model: PreferenceModel | None = None
        try:
            if (Path(name) / MANIFEST).is_file():
                self._model = PreferenceModel.from_pretrained(name)
                self.encoder = self._model.bundle.encoder()
            else:
                self.encoder = PairEncoder(load_tokenizer(name), _encoding_of_run(Path(name)) or encoding)
        except (BundleError, InputError) as error:
            raise self._refused(error) from None

    def load(self) -> tuple[Scorer, str]:
        """Return what scores the answers that `encoder` encoded, on the GPU if there is one, and a hash of its weights.

        The hash is the SHA-256 of names and values of the weights; for a bundle, of its float32 or int8 graph.

        Raises:
            InputError: the model cannot be loaded, or has not one label.
        """
        if self._model is not None:
            model, bundle = self._model, self._model.bundle

            def bundle_scores(encodings: Sequence[Encoding]) -> FLOAT:
                encoded = Encoded(list(encodings), np.arange(len(encodings)))
                return model.score_encoded(encoded, self.batch_tokens).scores / np.float32(bundle.temperature)

            return bundle_scores, bundle.info["files"][GRAPHS[bundle.precision]]["sha256"]
        try:
            checkpoint = (Path(self.name) / HEADS).is_file()
            net = PreferenceNet.from_checkpoint(self.name) if checkpoint else PreferenceNet.teacher(self.name)
        except BundleError as error:
            raise self._refused(error) from None
        sha256 = _sha256_of_weights(net)
        net = net.eval().requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")

        def net_scores(encodings: Sequence[Encoding]) -> FLOAT:
            found: FLOAT = contributions(net, self.encoder, encodings, self.batch_tokens).sum(1)
            return found

        return net_scores, sha256

    def _refused(self, error: Exception) -> InputError:
        allowed = "a run, a bundle or a cross-encoder with one label"
        return InputError(f"distil.teachers holds {shown(self.name)}; allowed: {allowed}: {one_line(error)}")


def kept_scores(
    teacher: Teacher, answers: Sequence[tuple[Question, str]], folder: Path, say: Callable[[str], None]
) -> tuple[FLOAT, str]:
    """Return the scores of a teacher, and the hash of its weights; what the folder has of the scores is not made again.

    The file of the scores, raw float32, the longest inputs first, is named by a hash of the weights and of what they
    read, and grows from batch to batch: a process may be killed at any time.

    Args:
        teacher: whose scores.
        answers: n questions, each with an answer.
        folder: of the files; made where it is missing.
        say: is told how far it is.

    Returns:
        Scores in logits, float32 [n], and a SHA-256.

    Raises:
        InputError: see `Teacher.load`.
        PrefModelError: a score is infinite or no number, or the teacher cannot read inputs of this length.
    """
    encodings = teacher.encoder.encode_batch(*map(list, zip(*answers, strict=True)))
    lengths = [len(encoding) for encoding in encodings]
    batches = length_batches(lengths, teacher.batch_tokens)
    order = list(chain.from_iterable(batches))
    score, sha256 = teacher.load()
    path = folder / f"{_key(sha256, [encodings[i] for i in order])}.f32"
    folder.mkdir(parents=True, exist_ok=True)
    path.touch()
    kept = path.stat().st_size // _SCORE.itemsize
    ends = np.cumsum([0, *map(len, batches)])
    done = int(np.searchsorted(ends, kept, side="right")) - 1  # whole batches; a rest of one is made again
    os.truncate(path, int(ends[done]) * _SCORE.itemsize)

    name = f"teacher {teacher.name}"
    say(f"{name}: {len(answers)} answers, {ends[done]} of them scored before")
    shown_bar, told = sys.stderr.isatty(), time.monotonic()
    with (
        path.open("ab") as file,
        tqdm(total=len(answers), initial=int(ends[done]), desc=name, unit="answer", disable=not shown_bar) as bar,
    ):
        for number, batch in enumerate(batches[done:], done + 1):
            try:
                scores = score([encodings[i] for i in batch])
            except (IndexError, RuntimeError) as error:  # too few positions, or too little memory
                most = max(lengths[i] for i in batch)
                raise PrefModelError(
                    f"{name} cannot read {len(batch)} inputs of {most} tokens; see encoding.max_tokens and "
                    f"train.batch_tokens: {one_line(error)}"
                ) from None
            if not np.isfinite(scores).all():
                raise PrefModelError(f"{name}: a score is infinite or not a number")
            file.write(scores.astype(_SCORE).tobytes())
            file.flush()
            bar.update(len(batch))
            if not shown_bar and time.monotonic() - told > SAY_SECONDS:
                told = time.monotonic()
                say(f"{name}: {ends[number]} of {len(answers)} answers")
    out = np.empty(len(answers), np.float32)
    out[order] = np.fromfile(path, _SCORE)
    return out, sha256


def _encoding_of_run(folder: Path) -> EncodingConfig | None:
    """Return how much a model reads that was trained by a recipe, or None for one that was not."""
    path = folder / "run.json"
    if not path.is_file():
        return None
    try:
        return EncodingConfig(**json.loads(path.read_text(encoding="utf-8"))["recipe"]["encoding"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: not the record of a run: {one_line(error)}") from None


def _sha256_of_weights(net: PreferenceNet) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _key(sha256: str, encodings: Sequence[Encoding]) -> str:
    """Return what tells the scores of these weights for these inputs, in this order, from all others."""
    digest = hashlib.sha256(sha256.encode())
    for encoding in encodings:
        digest.update(np.array([len(encoding), *encoding.ids, *encoding.type_ids], "<i8").tobytes())
    return digest.hexdigest()[:32]
