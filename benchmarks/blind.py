"""Pairs for a blind reading: can a person tell the preferred side, and is the other one fluent and coherent?

usage: python -m benchmarks.blind write PAIRS --out FOLDER [--count 30]
       python -m benchmarks.blind count FOLDER

`write` draws pairs of each axiom and writes `AXIOM.md` with sides A and B in random order, and `key.json`. The reader
writes `AXIOM.txt`, a line a pair: its number, the better side (A, B, or = where neither is), and whether the other
side is fluent and coherent (y or n each): `12 A y n`. `count` compares them with the key.

Both words mean what they mean in SummEval (arXiv 2007.12626): a text is fluent if its single sentences are well
written, without broken grammar, capitals or formatting that make them hard to read; it is coherent if they build up to
one body of text, so that one could believe that a person wrote it as it stands. A text that is off the point from its
middle on is fluent, but hardly coherent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from benchmarks.each_axiom import samples
from prefmodel.files import read_pairs
from prefmodel.intervals import clustered_interval
from prefmodel.splits import question_text
from prefmodel.types import PreferencePair

LONGEST = 6000
"""Characters of both answers together; a longer pair is left out, since a person would skim it."""


def page(axiom: str, pairs: Sequence[PreferencePair], sides: Sequence[str]) -> str:
    """Return the text that a reader sees; `sides` has the letter of each pair's chosen answer."""
    parts = [f"# {axiom}\n"]
    for number, (pair, side) in enumerate(zip(pairs, sides, strict=True), 1):
        a, b = (pair.chosen, pair.rejected) if side == "A" else (pair.rejected, pair.chosen)
        parts.append(f"## {number}\n\n**Question.** {question_text(pair.question)}\n\n**A.** {a}\n\n**B.** {b}\n")
    return "\n".join(parts)


def write(path: Path, out: Path, count: int, seed: int) -> None:
    """Write the pages and the key."""
    readable = (p for p in read_pairs(path) if len(p.chosen) + len(p.rejected) <= LONGEST)
    random, key = Random(seed), {}
    out.mkdir(parents=True, exist_ok=True)
    for axiom, parts in samples(readable, count, seed).items():
        pairs = parts.get("train", [])
        key[axiom] = random.choices("AB", k=len(pairs))
        (out / f"{axiom}.md").write_text(page(axiom, pairs, key[axiom]), encoding="utf-8")
    (out / "key.json").write_text(json.dumps(key))


def count(folder: Path) -> Iterable[str]:
    """Yield the lines of a table: of each page that was read, the right, the fluent and the coherent ones."""
    yield "| axiom | read | preferred side found | 95% interval | neither | other side fluent | coherent |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for axiom, sides in json.loads((folder / "key.json").read_text()).items():
        read = folder / f"{axiom}.txt"
        if not read.exists():
            continue
        rows = [line.split() for line in read.read_text().splitlines() if line.strip()]
        if wrong := [row for row in rows if len(row) != 4 or row[1] not in "AB=" or {*row[2:]} - {*"yn"}]:
            sys.exit(f"{read}: {' '.join(wrong[0])!r}; allowed: NUMBER A|B|= y|n y|n")
        said = {int(row[0]): row[1:] for row in rows}
        found = [said[i][0] == side for i, side in enumerate(sides, 1) if i in said]
        low, high = clustered_interval(found, range(len(found)))
        neither, fluent, coherent = (sum(row[i] == yes for row in said.values()) for i, yes in enumerate("=yy"))
        yield f"| {axiom} | {len(found)} | {sum(found)} | {low:.2f} to {high:.2f} | {neither} | {fluent} | {coherent} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("pairs", type=Path)
    writing.add_argument("--out", type=Path, required=True)
    writing.add_argument("--count", type=int, default=30)
    writing.add_argument("--seed", type=int, default=0)
    commands.add_parser("count").add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.command == "write":
        write(given.pairs, given.out, given.count, given.seed)
    else:
        print("\n".join(count(given.folder)))


if __name__ == "__main__":
    main()
