"""The answers of a capable language model to the prompts of `axioms.llm`, and threads that give pairs by all axioms."""

from __future__ import annotations

import re

from axioms.text import sentences
from prefmodel.types import Answer, Thread
from tests.threads import ask, facts, question

UNKNOWN = "Nobody wrote it down anywhere, but old people tell of a wandering salesman with three mules."


def between(text: str, start: str, end: str) -> str:
    return text.split(start)[1].split(end)[0].strip()


def scripted(text: str) -> str:
    """Answer each prompt as a capable model would, in the simplest way."""
    if "two or three sentences" in text:
        return " ".join(sentences(between(text, "Facts:", "Question:"))[:2]) if "Facts:" in text else UNKNOWN
    if "Change one detail" in text:
        return re.sub(r"(\w+)\W*$", "zebras.", text.partition("false: ")[2])
    assert "Write one paragraph with these facts" in text
    return " ".join(line.removeprefix("- ") for line in between(text, "Facts:", "Write one").splitlines())


def some_threads(count: int = 6) -> list[Thread]:
    """Return threads with two long answers and passages."""
    threads = []
    for number in range(count):
        said = facts(number)
        answers = (Answer(" ".join(said[:3]), votes=9), Answer(" ".join(said[3:]), votes=5), Answer("No.", votes=1))
        threads.append(ask(number, question(number), *answers, passages=(" ".join(said[2:]),)))
    return threads
