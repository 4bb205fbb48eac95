"""One run of `prefmodel pairs`: files in, a file of pairs out, and a report; stopped, it goes on where it was."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from axioms.blocks import SIZE, RawBlock, read_blocks
from axioms.build import EQUAL, OTHER_SPLIT, PER_QUESTION, Counts, Plan
from axioms.encoded import Encoded
from axioms.engine import Finished, Job, finish_blocks
from axioms.llm.asking import Asking, models_of
from axioms.parts import Parts
from axioms.plugins import Plugin
from axioms.registry import Axiom, LabelAxiom
from axioms.report import Tally, prepare, report_of, verdict, write_report
from axioms.selection import select, selected_lines, write_lines
from prefmodel.errors import InputError
from prefmodel.files import check_not_read, format_of, sha256


@dataclass(frozen=True, slots=True)
class Options:
    """What a run builds.

    Args:
        axioms: what builds the pairs of each name; functions of a module, or `functools.partial` of such.
        files: threads and labels.
        exclude: evaluation files.
        seed: the same seed, files and block give the same pairs, whatever the number of workers.
        limit: at most so many pairs of each axiom, drawn at random; None for all.
        per_question: at most so many pairs of an axiom for one question.
        split: keep only the pairs whose question is in this split; None for all.
        duplicates: "near" or "exact": which repeated pairs are left out.
        workers: processes.
        block: threads that an axiom sees at once.
        report: folder for the report, or None.
    """

    axioms: Mapping[str, Axiom | LabelAxiom]
    files: Sequence[Path]
    exclude: Sequence[Path] = ()
    seed: int = 0
    limit: int | None = None
    per_question: int = PER_QUESTION
    split: str | None = None
    duplicates: str = "near"
    workers: int = 1
    block: int = SIZE
    report: Path | None = None


def build_file(
    options: Options,
    output: Path,
    progress: Callable[[Iterator[Finished]], Iterable[Finished]] = iter,
    say: Callable[[str], None] = print,
) -> tuple[Counts, Tally]:
    """Build the pairs of files, write them to `output`, and return what became of them.

    Finished blocks lie in a folder beside `output` until it is written; the same call goes on with them.

    Args:
        options: what to build.
        output: `.jsonl`, `.jsonl.gz` or `.parquet`; it appears whole or not at all.
        progress: is given the blocks as they are finished and passes them on.
        say: is told what the user should know.

    Raises:
        InputError: `output` is one of the files; no pairs are built; an axiom of another package fails; or a language
            model's options are wrong.
        FileFormatError: a file cannot be read or written.
        BundleError: a sentence encoder is not to be had.
        BudgetSpent, EndpointError: a language model answers no more. What is finished is kept, and nothing is written.
        MissingExtraError: a package is not installed.
    """
    check_not_read(output, [*options.files, *options.exclude])
    plan = Plan(options.axioms, options.seed, options.split, options.duplicates == "near")
    if options.report:
        prepare(options.report)
    with models_of(options.axioms.values()), Parts(output, _facts(options)) as parts:
        if parts.told:
            say(parts.told)
        blocks = 0

        def unfinished() -> Iterator[RawBlock]:
            nonlocal blocks
            for block in read_blocks(options.files, options.block):
                blocks = block.number + 1
                if not parts.done(block.number):
                    yield block

        job = Job(plan, tuple(options.exclude), parts.folder)
        for _ in progress(finish_blocks(job, unfinished(), options.workers)):
            pass
        limits = {} if options.limit is None else dict.fromkeys(plan.axioms, options.limit)
        selection = select(parts.folder, blocks, plan, options.per_question, limits)
        if not selection.counts.built:
            parts.remove()
            raise _no_pairs(selection.counts, options)
        tally = Tally()
        lines = selected_lines(parts.folder, selection, tally.add, tally.add_line)
        whole = parts.folder / f"whole{format_of(output)}"
        write_lines(whole, lines)
        if options.report:
            report = report_of(list(plan.axioms), selection.counts, tally, options.seed)
            write_report(options.report, report)
            say(verdict(report))
        os.replace(whole, output)
        parts.remove()
    return selection.counts, tally


def _no_pairs(counts: Counts, options: Options) -> InputError:
    """Return the error that says why there are no pairs; it is raised so that no empty file is written."""
    reasons = {
        "have a question or text of an excluded file": counts.excluded.total(),
        "have equal sides": counts.left_out[EQUAL].total(),
        f"are not in split {options.split}": counts.left_out[OTHER_SPLIT].total(),
    }
    why = ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)
    nothing = f"the files have nothing that {', '.join(options.axioms)} could pair"
    told = f"of those found, {why}" if why else nothing
    skipped = ", ".join(f"{reason} {by_axiom.total()}" for reason, by_axiom in counts.skipped.items())
    return InputError(f"no pairs: {told}{f'; the language model wrote none: {skipped}' if skipped else ''}")


def _facts(options: Options) -> dict[str, Any]:
    """Return what tells apart runs whose finished blocks differ. The number of workers does not, nor do the limits."""
    return {
        "FILES": [sha256(path) for path in options.files],
        "--exclude": [sha256(path) for path in options.exclude],
        "--axioms": {name: _identity(axiom) for name, axiom in options.axioms.items()},
        "--seed": options.seed,
        "--split": options.split,
        "--duplicates": options.duplicates,
        "--block": options.block,
        "the version": {"prefmodel": version("prefmodel"), "axioms": _code(Path(__file__).parent.rglob("*"))},
    }


def _identity(axiom: Axiom | LabelAxiom) -> str:
    """Return what tells an axiom from others: its function, what is bound to it, and the code of another package.

    The prompts of a language model are data of this package, so `_code` covers them.
    """
    if isinstance(axiom, Asking | Encoded):
        return axiom.identity
    if isinstance(axiom, partial):
        return f"{_identity(axiom.func)} {axiom.args} {sorted(axiom.keywords.items())}"
    if isinstance(axiom, Plugin):
        file = getattr(sys.modules[axiom.load().__module__], "__file__", None)
        return f"{axiom.target} {_code([Path(file)]) if file else ''}"
    return f"{axiom.__module__}.{axiom.__qualname__}"


def _code(files: Iterable[Path]) -> str:
    """Return a hash of source and data files; of `axioms`, where a small change makes other pairs."""
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.name} {sha256(path)} ".encode())
    return digest.hexdigest()[:16]
