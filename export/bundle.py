"""A checkpoint as a bundle: graphs, tokenizer, scale and card, written only when the graphs agree with the model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.calibrate import doubt, fit_length, fit_temperature
from export.card import card
from export.graph import write_graph
from export.half import check_half, write_half
from export.parity import Parity, check, check_pairs, parity
from export.quantize import write_int8
from export.tokenizer_settings import tokenizer_settings
from prefmodel.baselines import bm25, longer
from prefmodel.bundle import Bundle, write_manifest
from prefmodel.bundle_files import GRAPHS, TOKENIZER_SETTINGS
from prefmodel.cpus import usable_cpus
from prefmodel.encoding import INT, EncodingConfig, PairEncoder
from prefmodel.errors import FileFormatError, InputError, PrefModelError
from prefmodel.evaluation import evaluate_pairs
from prefmodel.files import check_new_folder, put_folder, read_pairs
from prefmodel.model import PreferenceModel
from prefmodel.types import CONTRIBUTIONS, PreferencePair
from training.length import Length
from training.measure import contributions, sample_by_axiom
from training.model import HEADS, PreferenceNet, load_tokenizer

FLOAT = NDArray[np.float32]
BATCH_TOKENS = 2048
ANCHOR_PAIRS = 50
"""Development pairs of each axiom that set the zero of the contributions."""
SCALE_TEXTS = 200
"""Development answers on which the scales of int8 are chosen."""
LEFT_OUT = (0.0, 0.1, 0.3, 1.0)
"""Shares of the products that int8 takes in a closer and slower form, tried in this order until the gate is passed."""
PARITY_PAIRS = 1000
"""Test pairs on which graphs are compared with the torch model, which is slow in float32 on a CPU."""
TRUSTED_PAIRS = 30
"""Pairs of a principle, at least, on which its contribution may come to be trusted; on one pair all tell by luck."""


@dataclass(frozen=True, slots=True)
class Heldout:
    """Pairs that the model was not trained on.

    Args:
        dev: set the zero of each contribution, `ANCHOR_PAIRS` of each axiom; the human labels fit the temperature.
        test: show how often the model is right, and `PARITY_PAIRS` of them how far the graphs are from the model.
    """

    dev: list[PreferencePair]
    test: list[PreferencePair]


def export(
    checkpoint: str | Path,
    out: str | Path,
    heldout: Sequence[str | Path] = (),
    precisions: Sequence[str] = ("float32", "int8"),
    say: Callable[[str], None] = print,
    keep_torch: bool = False,
    with_length: bool = False,
    labels: Sequence[str | Path] = (),
) -> Path:
    """Write the bundle of a checkpoint and return its folder.

    It is written before it is measured for its card: if that fails, graphs that passed their gate are there.

    Args:
        checkpoint: folder of a training run; or of a sequence classifier with one label, whose whole score then counts
            as relevance.
        out: a new folder.
        heldout: files of pairs that were not trained on; by default those that the run kept.
        precisions: some of "float32", "int8", and "float16" for GPUs.
        say: is told what was measured.
        keep_torch: whether the bundle keeps the weights for torch too, for the backend `torch`.
        with_length: add the contribution `length`, fitted on the human labels that the temperature is fitted on. One
            that the model was trained with (`train.keep_length`) stays without that.
        labels: files with these, among pairs of any axioms, that were not trained on; by default the run's development
            pairs.

    Raises:
        InputError: there are no human labels in `labels`, or none for a length that is asked for, or they do not agree
            with the scores; or the model does not tell questions from answers. Nothing is written then.
        PrefModelError: the checkpoint cannot be read or exported, there are fewer than 1,000 held-out pairs, int8
            or float16 is too far from the model, or the model is one that float16 is not for. Nothing is written then.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if not precisions or not set(precisions) <= GRAPHS.keys():
        raise InputError(f"precisions is {list(precisions)}; allowed: some of {', '.join(GRAPHS)}")
    check_new_folder(out)
    if not checkpoint.is_dir():
        raise InputError(f"checkpoint is {checkpoint}; allowed: a folder")
    run, encoding = _run(checkpoint)
    net = PreferenceNet.from_checkpoint(checkpoint) if (checkpoint / HEADS).is_file() else _plain(checkpoint, say)
    if "float16" in precisions:
        check_half(net.config)
    torch.set_num_threads(usable_cpus())
    encoder = PairEncoder(load_tokenizer(checkpoint), encoding)
    pairs = _heldout(checkpoint, heldout)

    reference = sample_by_axiom(pairs.dev, ANCHOR_PAIRS)
    labelled = chain.from_iterable(map(read_pairs, labels)) if labels else pairs.dev
    human = [pair for pair in labelled if pair.axiom == "human"]
    if labels and not human:
        named = ", ".join(map(str, labels))
        raise InputError(f"labels is {named}, where no pairs of the axiom human are; allowed: files with some")
    if with_length and not human:
        raise InputError(
            "length is asked for, and there are no held-out human labels to fit it on; name some with --labels"
        )
    if with_length and not net.takes_type_ids:
        kind = type(net.classifier).__name__
        raise InputError(f"length is asked for, and {kind} does not tell questions from answers; allowed: no length")
    fitted = f"fitted on {len(human)} human-labelled pairs"
    targets = np.array([pair.target for pair in human], np.float32)
    compared = Random(0).sample(pairs.test, min(PARITY_PAIRS, len(pairs.test)))
    if {"int8", "float16"} & set(precisions):
        check_pairs(len(compared))
    say(f"scoring {len(reference) + len(human)} development and {len(compared)} test pairs with torch")
    trained_with, net.length = net.length, None  # the zero of each contribution is set without it
    anchor(net, torch_scores(net, encoder, reference, bfloat16=None))
    margins = longer_by = np.zeros(0, np.float32)
    if human:
        margins = _margins(torch_scores(net, encoder, human, bfloat16=None).sum(2))
        longer_by = _margins(_log_tokens(encoder, human))
    rate = trained_with.rate if trained_with is not None else 0.0
    if with_length:
        rate = fit_length(margins, longer_by, targets)
    if with_length or trained_with is not None:
        net.length = Length(rate, round(float(_log_tokens(encoder, reference).mean()), 4))
        say(f"length {net.length}, " + (fitted if with_length else "with which the model was trained"))
    temperature = fit_temperature(margins + rate * longer_by, targets) if human else 1.0
    say(f"temperature {temperature:.3f}, {fitted}{doubt(temperature, len(human))}")
    expected = torch_scores(net, encoder, compared).sum(2)

    with tempfile.TemporaryDirectory(prefix="prefmodel-") as temporary:
        folder = Path(temporary)
        (folder / "onnx").mkdir()
        if keep_torch:
            net.save(folder)  # its config.json gives way to the next one
        _write_model_files(net, encoder, checkpoint, folder)
        write_graph(net, folder / GRAPHS["float32"], encoder.pad(encoder.encode_batch(*_example())))
        facts = _facts(run, checkpoint)

        def measure(precision: str) -> Parity:
            write_manifest(folder, encoding, net.contributions, temperature, facts)
            model = _opened(folder, precision)
            found = parity(expected, graph_scores(model, compared).sum(2), temperature)
            say(f"{precision}: {found}")
            return found

        agreement = {"float32": measure("float32")}
        if "float16" in precisions:
            write_half(folder / GRAPHS["float32"], folder / GRAPHS["float16"])
            agreement["float16"] = measure("float16")
            check(agreement["float16"], "float16")
        if "int8" in precisions:
            texts = _unpadded(encoder, Random(0).sample(reference, min(SCALE_TEXTS, len(reference))))
            agreement["int8"] = _int8(folder, texts, lambda: measure("int8"), say)
        if "float32" not in precisions:
            (folder / GRAPHS["float32"]).unlink()
        facts["parity"] = {precision: result.to_dict() for precision, result in agreement.items()}
        write_manifest(folder, encoding, net.contributions, temperature, facts)
        put_folder(folder, out)
    # From here on there is a bundle, whatever happens to what is said of it.
    served = next(p for p in GRAPHS if p in precisions)
    say(f"{out} can be served; measuring it on {len(pairs.test)} held-out pairs for its card")
    facts["accuracy"] = heldout_accuracy(_opened(out, served), pairs.test)
    write_manifest(out, encoding, net.contributions, temperature, facts)
    (out / "README.md").write_text(card(Bundle.open(out, precision=served)), encoding="utf-8")
    return out


def _opened(folder: Path, precision: str) -> PreferenceModel:
    """Return a model on onnxruntime: others round differently, and what is written should not depend on them."""
    return PreferenceModel(Bundle.open(folder, precision=precision), backend="onnxruntime")


def _int8(
    folder: Path, texts: Sequence[dict[str, INT]], measure: Callable[[], Parity], say: Callable[[str], None]
) -> Parity:
    """Write the int8 graph, with as many products left out as it takes to pass the gate, and return its parity."""
    for share in LEFT_OUT:
        write_int8(folder / GRAPHS["float32"], folder / GRAPHS["int8"], texts, share)
        found = measure()
        try:
            check(found)
        except PrefModelError as error:
            if share == LEFT_OUT[-1]:
                raise
            say(f"{error}; once more with the products that suffer most in a closer form")
        else:
            break
    return found


def _unpadded(encoder: PairEncoder, pairs: Sequence[PreferencePair]) -> list[dict[str, INT]]:
    """Return the chosen answer of every other pair and the rejected one of the rest, each a batch of one."""
    answers = [(pair.rejected, pair.chosen)[i % 2] for i, pair in enumerate(pairs)]
    return [encoder.pad([encoding]) for encoding in encoder.encode_batch([pair.question for pair in pairs], answers)]


def anchor(net: PreferenceNet, reference: FLOAT) -> None:
    """Shift the bias of each head so that its contribution has zero mean over the reference answers.

    Args:
        net: changed in place.
        reference: contributions of the reference answers, float32 [..., contributions].
    """
    mean = reference.reshape(-1, reference.shape[-1]).mean(axis=0, dtype=np.float64)
    with torch.no_grad():
        net.heads.bias.sub_(torch.from_numpy(mean).to(net.heads.bias))


def _margins(sides: FLOAT) -> FLOAT:
    """Return by how much the first of two rows is larger, float32 [pairs]."""
    return np.asarray(sides[0] - sides[1], np.float32)


def _log_tokens(encoder: PairEncoder, pairs: Sequence[PreferencePair]) -> FLOAT:
    """Return the logarithm of the tokens that are read of chosen and rejected answers, float32 [2, pairs]."""
    questions = [p.question for p in pairs]
    sides = encoder.encode_batch(questions * 2, [p.chosen for p in pairs] + [p.rejected for p in pairs])
    return np.log([max(1, sum(side.type_ids)) for side in sides]).astype(np.float32).reshape(2, len(pairs))


def torch_scores(
    net: PreferenceNet, encoder: PairEncoder, pairs: Sequence[PreferencePair], bfloat16: bool | None = False
) -> FLOAT:
    """Return the contributions of the chosen and the rejected answers, float32 [2, pairs, contributions]."""
    questions = [p.question for p in pairs]
    sides = encoder.encode_batch(questions * 2, [p.chosen for p in pairs] + [p.rejected for p in pairs])
    return contributions(net, encoder, sides, BATCH_TOKENS, bfloat16).reshape(2, len(pairs), -1)


def graph_scores(model: PreferenceModel, pairs: Sequence[PreferencePair]) -> FLOAT:
    """Return the contributions that a bundle gives, float32 [2, pairs, contributions]."""
    questions = [p.question for p in pairs]
    scores = model.score_batch(questions * 2, [p.chosen for p in pairs] + [p.rejected for p in pairs])
    return scores.contributions.reshape(2, len(pairs), -1)


def heldout_accuracy(model: PreferenceModel, pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    """Return accuracy by axiom beside its baselines, and how well each contribution tells each principle's pairs.

    `axioms[name]` has pairs, accuracy, low, high (95%), longer and bm25. `contributions[principle][contribution]` is
    the accuracy of one contribution alone on the pairs of a principle, and `trusted` names principles; see `trust`.
    """
    pairs = [pair for pair in pairs if pair.target > 0.5]  # pairs for invariance have no better side
    scores = graph_scores(model, pairs)
    known = {
        (pair.question, text): scores[side, i].sum()
        for side in (0, 1)
        for i, pair in enumerate(pairs)
        for text in ((pair.chosen, pair.rejected)[side],)
    }
    scorers = {
        "model": lambda qs, answers: np.array([known[q, a] for q, a in zip(qs, answers, strict=True)], np.float32),
        "longer": longer,
        "bm25": bm25,
    }
    axioms: dict[str, Any] = {}
    for name in sorted({p.axiom for p in pairs}):
        part = [p for p in pairs if p.axiom == name]
        found = evaluate_pairs(part, scorers).accuracy
        own = found["model"]
        axioms[name] = {"pairs": len(part), "accuracy": own.value, "low": own.low, "high": own.high}
        axioms[name] |= {"longer": found["longer"].value, "bm25": found["bm25"].value}
        axioms[name] = {k: round(v, 4) for k, v in axioms[name].items()}
    margins = (scores[0] - scores[1])[:, : len(CONTRIBUTIONS)]  # no principle is about length
    table, trusted = trust(margins, [p.principle or "general" for p in pairs])
    return {"axioms": axioms, "contributions": table, "trusted": trusted}


def trust(margins: FLOAT, principles: Sequence[str]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return how well each contribution alone tells the pairs of each principle, and the principles that are trusted.

    A principle is trusted when its own contribution tells its pairs better than every other, beyond chance (95%,
    one-sided), on `TRUSTED_PAIRS` of them or more.

    Args:
        margins: by which the contributions of the chosen answers are larger, float32 [pairs, 6].
        principles: of each pair, one of `CONTRIBUTIONS`.
    """
    table: dict[str, dict[str, float]] = {}
    trusted: list[str] = []
    for column, name in enumerate(CONTRIBUTIONS):
        rows = np.array([principle == name for principle in principles])
        if rows.any():
            right = (margins[rows] > 0) + 0.5 * (margins[rows] == 0)
            table[name] = dict(zip(CONTRIBUTIONS, right.mean(0).round(4).tolist(), strict=True))
            lead = right[:, [column]] - right[:, [i for i in range(len(CONTRIBUTIONS)) if i != column]]
            beyond = lead.mean(0) > 1.645 * lead.std(0) / len(lead) ** 0.5
            if len(lead) >= TRUSTED_PAIRS and beyond.all():
                trusted.append(name)
    return table, trusted


def _run(checkpoint: Path) -> tuple[dict[str, Any], EncodingConfig]:
    path = checkpoint / "run.json"
    if not path.is_file():
        return {}, EncodingConfig()
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return run, EncodingConfig(**run["recipe"]["encoding"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: not the record of a run: {error}") from None


def _plain(checkpoint: Path, say: Callable[[str], None]) -> PreferenceNet:
    say(f"{checkpoint} has no {HEADS}: its whole score counts as relevance")
    return PreferenceNet.from_base(checkpoint)


def _heldout(checkpoint: Path, given: Sequence[str | Path]) -> Heldout:
    """Read the held-out pairs: those of the run, or the given ones, every other of which serves as development."""
    if given:
        pairs = [pair for path in given for pair in read_pairs(path)]
        parts = Heldout(pairs[::2], pairs[1::2])
    else:
        files = [checkpoint / "heldout" / f"{name}.jsonl.gz" for name in ("dev", "test")]
        if not all(path.is_file() for path in files):
            raise PrefModelError(f"{checkpoint} has no held-out pairs; name files of pairs with --heldout")
        parts = Heldout(*(list(read_pairs(path)) for path in files))
    if not parts.dev or not parts.test:
        raise PrefModelError("there are no held-out pairs; name files of pairs with --heldout")
    return parts


def _example() -> tuple[list[str], list[str]]:
    return ["Why is the sky blue?", "Who brews beer?"], ["Air scatters blue light most.", "Brewers do."]


def _write_model_files(net: PreferenceNet, encoder: PairEncoder, checkpoint: Path, folder: Path) -> None:
    config = {k: v for k, v in net.config.to_dict().items() if k not in ("_name_or_path", "transformers_version")}
    config |= {"architectures": [type(net.classifier).__name__], "id2label": {"0": "score"}, "label2id": {"score": 0}}
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str) + "\n", encoding="utf-8")
    tokenizer = load_tokenizer(checkpoint)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = tokenizer_settings(tokenizer, encoder, net.takes_type_ids)
    (folder / TOKENIZER_SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _without_place(base: str) -> str:
    return Path(base).name if Path(base).is_absolute() else base


def _facts(run: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    if not run:
        return {"base": checkpoint.name, "notes": "exported as it is, without training"}
    recipe, data = run["recipe"], run["data"]
    # Where a base lay on the machine that trained is nobody's business; its hash says which one it was.
    base = _without_place(recipe["base"])
    distil = recipe.get("distil", {})
    if distil:
        distil = {**distil, "teachers": [Path(name).name for name in distil.get("teachers", ())]}
    train = {**recipe["train"], "blend_base": _without_place(recipe["train"].get("blend_base", ""))}
    recipe = {**recipe, "base": base, "train": train, "distil": distil}
    before, blended = (
        _facts(run[f"{name}_run"], checkpoint) if run.get(f"{name}_run") else run.get(f"{name}_bundle")
        for name in ("base", "blend_base")
    )
    return {
        "base": base,
        "base_sha256": run.get("base_sha256"),
        "recipe": recipe,
        "data": data["files"] + data.get("distil", {}).get("files", []),
        "excluded_files": data["excluded_files"],
        "pairs": data["pairs"]["train"],
        "left_out": data["left_out"],
        "updates": run["updates"],
        "hours": round(run["seconds"] / 3600, 2),
        "device": run["device"],
        **({"before": before} if before else {}),
        **({"blended_with": blended} if blended else {}),
    }
