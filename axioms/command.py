"""`prefmodel pairs`: preference pairs from threads and human labels, by the axioms."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axioms.llm.options import llm_options
from prefmodel.commands import warn
from prefmodel.errors import FileFormatError, InputError, one_line, shown
from prefmodel.files import format_of
from prefmodel.splits import SPLITS

if TYPE_CHECKING:
    from axioms.build import Counts
    from axioms.engine import Finished
    from axioms.llm.client import LLMOptions
    from axioms.registry import Axiom, LabelAxiom
    from axioms.report import Tally

LOG_SECONDS = 10.0


def show_axioms(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print each axiom with its principle and what it says, and end the command."""
    if not wanted or ctx.resilient_parsing:
        return
    from axioms.llm.registry import LLM_AXIOMS
    from axioms.registry import LABELS, about, of_threads

    rows = []
    for name in (*of_threads(), *LLM_AXIOMS, *LABELS):
        try:
            principle, text = about(name)
            rows.append((name, principle or "-", f"{text} (needs --llm-url)" if name in LLM_AXIOMS else text))
        except InputError as error:
            rows.append((name, "?", one_line(error)))
    click.echo(_aligned(rows))
    _tell_displaced()
    ctx.exit()


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="PAIRS", required=True, help="File to write; - for JSON lines on stdout.")
@click.option("--axioms", metavar="A,B", help="Names, comma-separated; by default all that apply to the files.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same pairs.")
@click.option(
    "--exclude",
    metavar="EVAL_FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Leave out pairs that overlap with this file's questions or texts; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many pairs of each axiom, drawn at random.")
@click.option(
    "--per-question",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="At most so many pairs of an axiom for one question.",
)
@click.option("--split", type=click.Choice(SPLITS), help="Keep only the pairs whose question is in this split.")
@click.option(
    "--duplicates",
    type=click.Choice(["near", "exact"]),
    default="near",
    show_default=True,
    help="Which repeated pairs are left out: near ones (MinHash, within a block) too, or only exact ones.",
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="Sentence encoder, a folder or Hub name with an ONNX graph: finds hard negatives for relevance beside BM25.",
)
@llm_options
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes; the pairs are the same."
)
@click.option(
    "--block",
    type=click.IntRange(1, 10**9),
    default=10_000,
    show_default=True,
    help="Threads an axiom sees at once.",
)
@click.option(
    "--report",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write report.json, report.md and report.png: counts, lengths, and how far the pairs give themselves away.",
)
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=show_axioms, help="List the axioms.")
def pairs(
    files: tuple[Path, ...],
    output: str,
    axioms: str | None,
    exclude: tuple[Path, ...],
    encoder: str | None,
    llm: LLMOptions | None,
    **options: Any,
) -> None:
    """Build preference pairs from FILES of threads and of human-labelled pairs.

    Files are .jsonl, .jsonl.gz or .parquet, of any size. A run that was stopped goes on when the command is repeated;
    what is finished lies in PAIRS.parts. At the end a table tells for each axiom the pairs built, those left out, and
    how often the chosen answer is the longer one: far from 50%, a model may learn length instead of the principle.

    With --llm-url a language model writes pairs too. Its answers are kept as they come, so a run that was stopped, or
    whose --llm-budget is spent, goes on from them; PAIRS is written when all are there. Requests at once and budget are
    shared by the --workers.
    """
    if output != "-":
        format_of(output)
    kinds = _kinds(files)
    _kinds(exclude)
    llm = llm and replace(llm, processes=options["workers"])
    wanted = _wanted(axioms, [kinds[path] for path in files], llm, encoder)
    _tell_displaced()
    with ExitStack() as stack:
        if output == "-":
            from tempfile import TemporaryDirectory

            place = Path(stack.enter_context(TemporaryDirectory())) / "pairs.jsonl"
        else:
            place = Path(output)
        from axioms.run import Options, build_file

        settings = Options(wanted, files, exclude, **options)
        counts, tally = build_file(settings, place, _with_progress, say=lambda text: click.echo(text, err=True))
        if output == "-":
            with open(place, "rb") as lines:
                for line in lines:
                    click.echo(line, nl=False)
    click.echo(_table(list(wanted), counts, tally, options["split"]), err=True)
    for told in _skipped(list(wanted), counts):
        click.echo(told, err=True)


def _kinds(files: Sequence[Path]) -> dict[Path, bool | None]:
    """Return for each file whether it holds labels (True), threads (False) or nothing (None)."""
    from axioms.blocks import is_labelled

    for path in files:
        if files.count(path) > 1:
            raise InputError(f"FILES names {path} twice; allowed: each file once")
    return {path: is_labelled(path) for path in files}


def _wanted(
    text: str | None, kinds: Sequence[bool | None], llm: LLMOptions | None, encoder: str | None
) -> dict[str, Axiom | LabelAxiom]:
    """Return the axioms that `--axioms` names, by default those that apply to files of these kinds."""
    from axioms.llm.registry import LLM_AXIOMS
    from axioms.registry import LABELS, NAMES, axiom, of_threads

    found: dict[str, Axiom | LabelAxiom]
    if text is None:
        found = {**(of_threads(llm, encoder) if False in kinds else {}), **(LABELS if True in kinds else {})}
    else:
        found = {name: axiom(name, llm, encoder) for name in map(str.strip, text.split(",")) if name}
        if not found:
            raise InputError(f"--axioms is empty; allowed: {', '.join(NAMES)}")
    if all(kind is None for kind in kinds):
        raise FileFormatError("no pairs: the files hold no threads and no labelled pairs")
    if encoder is not None and "relevance" not in found:
        raise InputError(f"--encoder is {shown(encoder)}, and no axiom of this run takes it; allowed with relevance")
    if llm and not found.keys() & LLM_AXIOMS.keys():
        told = f"--llm-url is {shown(llm.url)}, and no axiom of this run asks a language model"
        raise InputError(f"{told}; allowed with {', '.join(LLM_AXIOMS)}")
    return found


def _tell_displaced() -> None:
    """Warn of axioms of other packages that have a name of ours."""
    from axioms.registry import displaced

    for plugin in displaced():
        warn(f"axiom {plugin.name} of another package ({plugin.target}) is left out: it has the name of one of ours")


def _with_progress(finished: Iterator[Finished]) -> Iterator[Finished]:
    """Pass blocks on and show on stderr how far it is: a bar on a terminal, else a line now and then."""
    from tqdm import tqdm

    blocks = threads = built = tokens = 0
    shown = time.monotonic()
    with tqdm(unit=" threads", disable=not sys.stderr.isatty(), leave=False) as bar:
        for block in finished:
            blocks, threads, built = blocks + 1, threads + block.size, built + block.pairs
            tokens += block.tokens
            bar.set_description(f"{built} pairs", refresh=False)
            bar.update(block.size)
            if bar.disable and time.monotonic() - shown > LOG_SECONDS:
                click.echo(f"{blocks} blocks: {built} pairs of {threads} threads so far", err=True)
                shown = time.monotonic()
            yield block
    if tokens:
        click.echo(f"{tokens:,} tokens of prompts and answers were spent on the language model", err=True)


def _table(names: Sequence[str], counts: Counts, tally: Tally, split: str | None) -> str:
    """Return the table of what became of the pairs: a column for each reason that left out any."""
    from axioms.build import REASONS

    reasons = [reason for reason in REASONS if counts.left_out[reason].total()]
    rows = [("axiom", "pairs", *reasons, "longer chosen")]
    for name in names:
        built = counts.built[name]
        share = f"{tally.longer[name] / built:.0%}" if built else "-"
        rows.append((name, str(built), *(str(counts.left_out[reason][name]) for reason in reasons), share))
    return _aligned(rows)


def _skipped(names: Sequence[str], counts: Counts) -> Iterator[str]:
    """Yield a line for each axiom of whose pairs a language model wrote some not, or not well enough."""
    for name in names:
        reasons = ", ".join(f"{why} {by_axiom[name]}" for why, by_axiom in counts.skipped.items() if by_axiom[name])
        if reasons:
            yield f"{name}, not written: {reasons}"


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as lines with aligned columns."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
