"""`prefmodel source`: a well-known set as a file of threads or pairs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click

from axioms.sources.source import Item, Source
from prefmodel.errors import InputError
from prefmodel.files import format_of, json_line, write_pairs, write_threads
from prefmodel.types import PreferencePair, Thread


def show_sources(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print each set with what it gives, its licence and its id on the Hub, and end the command."""
    if not wanted or ctx.resilient_parsing:
        return
    from axioms.sources.registry import SOURCES

    rows = [("name", "kind", "licence", "hub"), *((s.name, s.kind, s.licence, s.hub or "-") for s in SOURCES.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    ctx.exit()


@click.command()
@click.argument("name")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="OUT", required=True, help="File to write; - for JSON lines on stdout.")
@click.option("--split", default="train", show_default=True, help="Of the Hub; all but train are for evaluation.")
@click.option("--limit", type=click.IntRange(1, 10**9), help="At most so many threads or pairs, the first ones.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=show_sources, help="List the sets.")
def source(name: str, files: tuple[Path, ...], output: str, split: str, limit: int | None) -> None:
    """Turn the set NAME into threads or labelled pairs, for `prefmodel pairs`.

    FILES (.jsonl, .json, both also .gz, .parquet, .csv; .xml for the dump) are read without the network; without FILES
    the set is streamed from the Hugging Face Hub. OUT is .jsonl, .jsonl.gz or .parquet. Rows that give nothing are
    counted.
    """
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")  # what it logs, our errors say in one line
    from axioms.sources.registry import load, source_of

    if output != "-":
        format_of(output)
    asked = source_of(name)
    skipped: Counter[str] = Counter()
    items = _at_least_one(load(name, files, split, limit, skipped), asked, skipped)
    if asked.evaluation_only or split != "train":
        what = name if asked.evaluation_only else f"split {split} of {name}"
        click.echo(f"warning: {what} is for evaluation only: do not train on it", err=True)
    shown = _with_progress(items, asked.kind)
    count = _print(shown) if output == "-" else _write(output, shown, asked.kind)
    why = "".join(f"; skipped {number}: {reason}" for reason, number in skipped.most_common())
    click.echo(f"{count} {asked.kind} of {name}{why}", err=True)


def _write(output: str, items: Iterator[Item], kind: str) -> int:
    if kind == "threads":
        return write_threads(output, cast(Iterator[Thread], items))
    return write_pairs(output, cast(Iterator[PreferencePair], items))


def _print(items: Iterator[Item]) -> int:
    count = 0
    for item in items:
        click.echo(json_line(item.to_dict()), nl=False)
        count += 1
    return count


def _with_progress(items: Iterator[Item], kind: str) -> Iterator[Item]:
    from tqdm import tqdm

    yield from tqdm(items, unit=f" {kind}", disable=None, leave=False)


def _at_least_one(items: Iterator[Item], asked: Source, skipped: Counter[str]) -> Iterator[Item]:
    """Pass items on; where there are none, raise an error that says why, so that no empty file is written."""
    count = 0
    for item in items:
        yield item
        count += 1
    if not count:
        why = ", ".join(f"{number} {reason}" for reason, number in skipped.most_common())
        raise InputError(f"no {asked.kind} of {asked.name}: {f'of the rows, {why}' if why else 'there are no rows'}")
