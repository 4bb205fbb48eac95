"""`prefmodel pairs`: preference pairs from threads and human labels, by the axioms."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import format_of, json_line, write_pairs
from prefmodel.splits import SPLITS
from prefmodel.types import PreferencePair, Thread

if TYPE_CHECKING:
    from axioms.build import Counts

LOG_SECONDS = 10.0


def show_axioms(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print each axiom with its principle and what it says, and end the command."""
    if not wanted or ctx.resilient_parsing:
        return
    from axioms.registry import NAMES, about

    rows = [(name, *about(name)) for name in NAMES]
    click.echo(_aligned([(name, principle or "-", text) for name, principle, text in rows]))
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
    help="Leave out questions that this file asks, or nearly; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many pairs of each axiom, drawn at random.")
@click.option("--split", type=click.Choice(SPLITS), help="Keep only the pairs whose question is in this split.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=show_axioms, help="List the axioms.")
def pairs(
    files: tuple[Path, ...],
    output: str,
    axioms: str | None,
    seed: int,
    exclude: tuple[Path, ...],
    limit: int | None,
    split: str | None,
) -> None:
    """Build preference pairs from FILES of threads and of human-labelled pairs.

    Files are .jsonl, .jsonl.gz or .parquet. At the end a table tells for each axiom the pairs built, those left out,
    and how often the chosen answer is the longer one: far from 50%, a model may learn length instead of the principle.
    """
    from axioms.build import Counts, build_pairs, read_sources

    if output != "-":
        format_of(output)
    names = None if axioms is None else _names(axioms)
    threads, labels = read_sources(_once(files))
    names = names or _that_apply(threads, labels)
    asked = read_sources(exclude)
    excluded = [*(thread.question for thread in asked[0]), *(pair.question for pair in asked[1])]
    click.echo(f"building pairs from {len(threads)} threads and {len(labels)} labelled pairs", err=True)

    counts, longer = Counts(), dict.fromkeys(names, 0.0)
    limits = {} if limit is None else dict.fromkeys(names, limit)
    built = build_pairs(threads, labels, names, seed, excluded, limits, counts, split)
    watched = _at_least_one(_measured(_with_progress(built), longer), counts, names, split)
    if output == "-":
        for pair in watched:
            click.echo(json_line(pair.to_dict()), nl=False)
    else:
        write_pairs(output, watched)
    click.echo(_table(names, counts, longer, split), err=True)


def _names(text: str) -> list[str]:
    from axioms.build import check_axioms
    from axioms.registry import NAMES

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"--axioms is empty; allowed: {', '.join(NAMES)}")
    check_axioms(names)
    return list(dict.fromkeys(names))


def _that_apply(threads: Sequence[Thread], labels: Sequence[PreferencePair]) -> list[str]:
    from axioms.registry import AXIOMS, LABELS

    if not threads and not labels:
        raise FileFormatError("no pairs: the files hold no threads and no labelled pairs")
    return [*(AXIOMS if threads else ()), *(LABELS if labels else ())]


def _once(files: Sequence[Path]) -> Sequence[Path]:
    for path in files:
        if files.count(path) > 1:
            raise InputError(f"FILES names {path} twice; allowed: each file once")
    return files


def _with_progress(built: Iterator[PreferencePair]) -> Iterator[PreferencePair]:
    """Pass pairs on and show on stderr how many there are: a bar on a terminal, else a line now and then."""
    from tqdm import tqdm

    count: dict[str, int] = defaultdict(int)
    shown = time.monotonic()
    with tqdm(unit=" pairs", disable=not sys.stderr.isatty(), leave=False) as bar:
        for pair in built:
            count[pair.axiom] += 1
            bar.set_description(pair.axiom, refresh=False)
            bar.update()
            if bar.disable and time.monotonic() - shown > LOG_SECONDS:
                click.echo(f"{pair.axiom}: {count[pair.axiom]} pairs so far", err=True)
                shown = time.monotonic()
            yield pair


def _measured(built: Iterator[PreferencePair], longer: dict[str, float]) -> Iterator[PreferencePair]:
    """Pass pairs on and count for each axiom those whose chosen answer has more characters; equal ones count half."""
    for pair in built:
        difference = len(pair.chosen) - len(pair.rejected)
        longer[pair.axiom] += 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
        yield pair


def _at_least_one(
    built: Iterator[PreferencePair], counts: Counts, names: Sequence[str], split: str | None
) -> Iterator[PreferencePair]:
    """Pass pairs on; where there are none, raise an error that says why, so that no empty file is written."""
    yield from built
    if counts.built.total() == 0:
        reasons = {
            "have a question of an excluded file": counts.excluded.total(),
            "have equal sides": counts.equal.total(),
            f"are not in split {split}": counts.elsewhere.total(),
        }
        why = ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)
        nothing = f"the files have nothing that {', '.join(names)} could pair"
        raise InputError(f"no pairs: {f'of those found, {why}' if why else nothing}")


def _table(names: Sequence[str], counts: Counts, longer: dict[str, float], split: str | None) -> str:
    rows = [("axiom", "pairs", "excluded", "equal", *(("other split",) if split else ()), "longer chosen")]
    for name in names:
        built = counts.built[name]
        left_out = [counts.excluded[name], counts.equal[name], *([counts.elsewhere[name]] if split else [])]
        share = f"{longer[name] / built:.0%}" if built else "-"
        rows.append((name, str(built), *map(str, left_out), share))
    return _aligned(rows)


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as lines with aligned columns."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
