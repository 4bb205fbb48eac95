"""Files of any size to parts of pairs: block by block, in several processes, in memory that does not grow with them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from axioms.blocks import RawBlock
from axioms.build import Counts, Plan, exclusions, pairs_of_block, read_sources
from axioms.llm.asking import spent_tokens
from axioms.llm.failures import BudgetSpent
from axioms.parts import write_part
from prefmodel.errors import PrefModelError
from prefmodel.overlap import Exclusions


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker has to know; it can be pickled.

    Args:
        plan: what to do with each block.
        exclude: evaluation files.
        folder: of the parts.
    """

    plan: Plan
    exclude: tuple[Path, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Finished:
    """A block that was just finished.

    Args:
        number: of the block.
        size: its threads or labels.
        pairs: what they gave, before duplicates and limits over the whole run.
        tokens: of prompts and answers, spent on a language model.
    """

    number: int
    size: int
    pairs: int
    tokens: int


def finish_blocks(job: Job, blocks: Iterable[RawBlock], workers: int) -> Iterator[Finished]:
    """Write the part of each block, with some blocks under way at once, and yield them in their order.

    Args:
        job: what to do.
        blocks: read as they are needed, at most one more than there are workers ahead.
        workers: processes; with 1 the work is done in this one.

    Raises:
        PrefModelError: what a block raises, or a worker was killed. With `BudgetSpent` the other workers spend their
            shares before.
    """
    if workers == 1:
        yield from (_finish(job, block) for block in blocks)
        return
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[Finished]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            for block in blocks:
                waiting.append(pool.submit(_finish, job, block))
                del block  # so that it is not kept beside the next one
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException as error:
            # What the shares of the other workers still buy is kept; other errors end all at once.
            pool.shutdown(wait=isinstance(error, BudgetSpent), cancel_futures=True)
            for process in multiprocessing.active_children():  # what they have not finished is of no use
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                told = (
                    "a worker was killed, maybe for want of memory; repeat the command to go on, with fewer --workers"
                )
                raise PrefModelError(told) from None
            raise


@contextmanager
def _no_collections() -> Iterator[None]:
    """Search for cycles of objects only at the end: in the many objects of a block it takes a tenth of the time.

    Only what is new is searched then. A search of all would cost a process with much else in memory more, for each
    small block, than the block itself.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
        gc.collect(0)


@_no_collections()
def _finish(job: Job, raw: RawBlock) -> Finished:
    block, counts, before = raw.parse(), Counts(), spent_tokens()
    pairs = pairs_of_block(block, job.plan, _exclusions(job.exclude, job.plan.near), counts)
    size = len(block.threads) + len(block.labels)
    built = write_part(job.folder, block.number, size, pairs, counts)
    return Finished(block.number, size, built, spent_tokens() - before)


@lru_cache(maxsize=1)
def _exclusions(paths: tuple[Path, ...], near: bool) -> Exclusions:
    # An evaluation may hold what an axiom built.
    return exclusions(*read_sources(paths, check=lambda pair: None), near)


def _end_with_parent() -> None:
    """Let a worker end without a word when the user stops the run, or when its parent was killed."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
