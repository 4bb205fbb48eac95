"""Runs the workers in turn, round after round, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peer_environments import WORKERS, Configuration, python
from benchmarks.peer_rows import GROUP, Row
from benchmarks.worker import WorkerProcess


@dataclass(frozen=True)
class RowSet:
    """Rows that are measured together.

    Args:
        path: the rows for the workers.
        tokens: of each row.
        per_round: rows of one round; each round has its own.
        seconds: what one call may take, about; a slow configuration gets a half, a quarter and so on of the rows.
        single: one call a row.
    """

    path: Path
    tokens: Sequence[int]
    per_round: int
    seconds: float
    single: bool = False


class Worker(WorkerProcess):
    """A process that scores with one configuration; it ends with `close`.

    Raises:
        WorkerError: it does not start, which is how a backend that is not installed shows.
    """

    def __init__(self, configuration: Configuration, threads: int, environments: Path, logs: Path):
        self.configuration = configuration
        self.rate = 0.0
        """Tokens a second, about; it decides on how many rows there is time for."""
        options = json.dumps({**configuration.options, "threads": threads})
        command = [str(python(configuration.environment, environments)), str(WORKERS / configuration.script), options]
        log = logs / f"{configuration.name.replace(' ', '-')}-{threads}.log"
        super().__init__(command, log, threads, {"CUDA_VISIBLE_DEVICES": ""})

    def score(self, rows: RowSet, start: int, stop: int) -> dict[str, Any]:
        """Return scores, seconds and memory of rows start to stop, as `peer_workers/loop.py` tells them."""
        return self.ask({"rows": str(rows.path), "start": start, "stop": stop, "single": rows.single})

    def warm_up(self, rows: RowSet) -> None:
        """Score one batch, so that the next one is as fast as it gets, and note how fast it was."""
        for _ in range(2):
            found = self.score(rows, 0, GROUP)
            self.rate = sum(rows.tokens[:GROUP]) / sum(found["seconds"])


def measure(workers: Sequence[Worker], sets: Mapping[str, RowSet], rounds: int, threads: int) -> list[dict[str, Any]]:
    """Return one record for each call: name, threads, set, round, start, stop, seconds, memory.

    The order of the workers turns from round to round.
    """
    records = []
    for number in range(rounds):
        turned = [*workers[number % len(workers) :], *workers[: number % len(workers)]]
        for name, rows in sets.items():
            start = number * rows.per_round
            for worker in turned:
                stop = start + affordable(rows, start, worker.rate)
                found = worker.score(rows, start, stop)
                records.append(
                    {
                        "name": worker.configuration.name,
                        "threads": threads,
                        "set": name,
                        "round": number,
                        "start": start,
                        "stop": stop,
                        "seconds": found["seconds"],
                        "memory": found["memory"],
                    }
                )
        print(f"{threads} threads: round {number + 1} of {rounds}", file=sys.stderr)
    return records


def affordable(rows: RowSet, start: int, rate: float) -> int:
    """Return for how many rows from `start` on there is time: all of a round, or a half, a quarter... at least 8.

    >>> affordable(RowSet(Path("x"), [100] * 64, per_round=64, seconds=1.0), start=0, rate=2000.0)
    16
    """
    count = min(rows.per_round, len(rows.tokens) - start)
    while count >= 16 and sum(rows.tokens[start : start + count]) > rate * rows.seconds:
        count = max(8, count // 2 // GROUP * GROUP or count // 2)
    return count


def rows_of(path: Path, rows: Sequence[Row], rounds: int, seconds: float, single: bool = False) -> RowSet:
    """Return a set of rows that is dealt to so many rounds, in whole groups where there are enough."""
    per_round = -(-len(rows) // rounds // GROUP) * GROUP
    if per_round * (rounds - 1) >= len(rows):
        per_round = len(rows) // rounds
    return RowSet(path, [row.tokens for row in rows], per_round, seconds, single)
