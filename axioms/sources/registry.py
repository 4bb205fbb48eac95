"""The sets by name: each file of this folder is one set or a family of sets, and says where its columns were looked up.

| file | sets |
| --- | --- |
| `stack_exchange.py` | stack-exchange-preferences, stack-exchange-paired |
| `stack_exchange_dump.py` | stack-exchange-dump |
| `shp.py` | shp |
| `eli5.py` | eli5 |
| `webgpt.py` | webgpt |
| `hh_rlhf.py` | hh-rlhf |
| `oasst.py` | oasst1, oasst1-threads |
| `ultrafeedback.py` | ultrafeedback, ultrafeedback-binarized |
| `helpsteer.py` | helpsteer2, helpsteer2-preference |
| `dolly.py` | dolly |
| `researchy_questions.py` | researchy-questions |
| `ms_marco.py` | ms-marco |
| `ms_marco_web_search.py` | ms-marco-web-search |
| `reward_bench.py` | reward-bench |
| `reward_bench_2.py` | reward-bench-2 |
| `rm_bench.py` | rm-bench |

The columns that are used stand in `Source.columns` and `Source.optional`. A new set is one file with
`SOURCES` and one line here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from axioms.sources import (
    dolly,
    eli5,
    helpsteer,
    hh_rlhf,
    ms_marco,
    ms_marco_web_search,
    oasst,
    researchy_questions,
    reward_bench,
    reward_bench_2,
    rm_bench,
    shp,
    stack_exchange,
    stack_exchange_dump,
    ultrafeedback,
    webgpt,
)
from axioms.sources.rows import Rows
from axioms.sources.source import Item, Skipped, Source
from prefmodel.errors import InputError, shown

FILES = (
    *(stack_exchange, stack_exchange_dump, shp, eli5, webgpt, hh_rlhf, oasst, ultrafeedback, helpsteer),
    *(dolly, researchy_questions, ms_marco, ms_marco_web_search, reward_bench),
    *(reward_bench_2, rm_bench),
)

SOURCES: dict[str, Source] = {source.name: source for file in FILES for source in file.SOURCES}


def source_of(name: str) -> Source:
    """Return a set; raise InputError if there is none of this name."""
    if name not in SOURCES:
        raise InputError(f"source is {shown(name)}; allowed: {', '.join(SOURCES)}")
    return SOURCES[name]


def load(
    name: str,
    files: Sequence[str | Path] | None = None,
    split: str = "train",
    limit: int | None = None,
    skipped: Counter[str] | None = None,
) -> Iterator[Item]:
    """Yield the threads or pairs of a set, one at a time, in constant memory.

    Args:
        name: one of `SOURCES`.
        files: files with the columns of the set (.jsonl, .json, both also .gz, .parquet, .csv; .xml for the dump), read
            without the network; by default the set is streamed from the Hub.
        split: one of the set's `splits`; all but "train" are for evaluation. Files are read whole, whatever the split,
            but for helpsteer2-preference, whose rows say which split they belong to.
        limit: at most so many.
        skipped: is told why rows gave nothing, and how many.

    Raises:
        InputError: there is no such set or split, the set needs files, or `limit` is below 1.
        FileFormatError: a file or the Hub cannot be read, or a row does not fit; the text names set, row and column.
        MissingExtraError: `datasets` is not installed.

    >>> import tempfile; path = Path(tempfile.mkdtemp(), "dolly.jsonl")
    >>> _ = path.write_text('{"instruction": "Why?", "context": "", "response": "Because.", "category": "open_qa"}')
    >>> [thread.answers[0].text for thread in load("dolly", [path])]
    ['Because.']
    """
    source = source_of(name)
    if limit is not None and limit < 1:
        raise InputError(f"limit is {shown(limit)}; allowed: 1 or more, or none")
    paths = [Path(path) for path in files or ()]
    if not paths and source.hub is None:
        raise InputError(f"{name} is not on the Hub as data; give FILES with {', '.join(source.columns)}")
    if split not in source.splits and not (paths and split == "train"):
        raise InputError(f"split of {name} is {shown(split)}; allowed: {', '.join(source.splits)}")
    hub_split = source.splits.get(split, split)
    loaded = source.load(Rows(name, paths, source.hub, split, hub_split, source.options))
    return islice(_kept(loaded, skipped if skipped is not None else Counter()), limit)


def _kept(loaded: Iterator[Item | Skipped], skipped: Counter[str]) -> Iterator[Item]:
    for item in loaded:
        if isinstance(item, Skipped):
            skipped[str(item)] += 1
        else:
            yield item
