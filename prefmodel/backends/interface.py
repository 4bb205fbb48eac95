"""What runs a network for scores: the interface of all backends, and the checks that they share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prefmodel.bundle_files import GRAPH_BYTES, read_file
from prefmodel.cpus import usable_cpus
from prefmodel.errors import BundleError, InputError, shown
from prefmodel.graph import check_graph

FLOAT = NDArray[np.float32]
INT = NDArray[np.int64]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("logits", "contributions")
MOST_THREADS = 64
"""Threads that may be asked for where there are fewer CPUs: each costs time to start, hundreds of them seconds."""


class Backend(Protocol):
    """Runs a bundle's network on padded batches.

    Args:
        name: what `--backend` calls it.
        compute: what products are computed in: "int8", "float32", "bfloat16" or "float16".
        device: "cpu", "cuda:0".
        contributions: columns of the contributions.
        batch_tokens: padded tokens that go through at once; a good default for this backend.
    """

    name: str
    compute: str
    device: str
    contributions: int
    batch_tokens: int

    def run(self, batch: dict[str, INT]) -> tuple[FLOAT, FLOAT]:
        """Return (logits [batch], contributions [batch, n]) of one padded batch; several threads may call it at once.

        Args:
            batch: int64 arrays [batch, tokens] by the names in `INPUTS`; those that the network does not take are left
                out.

        Raises:
            BundleError: the network fails, or gives numbers that are not finite or not one row for each input.
        """
        ...


def checked_threads(threads: int | None) -> int:
    """Return the CPU threads of one run; by default as many as this process may use.

    >>> checked_threads(0)
    Traceback (most recent call last):
    prefmodel.errors.InputError: threads is 0; allowed: 1 or more, or none for all that are usable
    """
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise InputError(f"threads is {shown(threads)}; allowed: 1 or more, or none for all that are usable")
    most = max(MOST_THREADS, os.cpu_count() or 1)
    if threads is not None and threads > most:
        raise InputError(f"threads is {threads}; allowed: 1 to {most}; more than there are CPUs only cost time")
    return threads or usable_cpus()


def checked_graph(path: Path) -> bytes:
    """Return the bytes of a graph that holds nothing but what a bundle's graph may; raise BundleError for another."""
    content = read_file(path, GRAPH_BYTES)
    check_graph(content, path)
    return content


def checked_inputs(path: Path, inputs: list[str]) -> list[str]:
    """Return the names of a graph's inputs; raise BundleError when there is none, or one that no batch has."""
    if not inputs or not set(inputs) <= set(INPUTS):
        raise BundleError(f"{path}: inputs are {inputs}; allowed: some of {', '.join(INPUTS)}")
    return inputs


def checked_columns(path: Path, outputs: dict[str, list[object]]) -> int:
    """Return the number of contributions.

    Args:
        path: the graph's file, for errors.
        outputs: shape of each output; a size that is not fixed is no int.

    Raises:
        BundleError: the outputs are not logits [batch, 1] and contributions [batch, a fixed number].
    """
    if set(outputs) != set(OUTPUTS):
        raise BundleError(f"{path}: outputs are {list(outputs)}; allowed: {', '.join(OUTPUTS)}")
    columns = outputs["contributions"][1]
    if outputs["logits"][1] != 1 or not isinstance(columns, int):
        raise BundleError(
            f"{path}: logits are {outputs['logits']} and contributions {outputs['contributions']}; "
            "allowed: [batch, 1] and [batch, a fixed number]"
        )
    return columns


def checked_outputs(path: Path, logits: FLOAT, contributions: FLOAT, rows: int, columns: int) -> tuple[FLOAT, FLOAT]:
    """Return (logits [rows], contributions [rows, columns]): what a graph declares need not be what it gives.

    Args:
        path: the graph's file, for errors.
        logits: float32, as the network gave it; [rows, 1] is allowed.
        contributions: float32, as the network gave it; [rows, columns] is allowed.
        rows: of the batch.
        columns: number of contributions.

    Raises:
        BundleError: a shape is another, or a number is not finite.
    """
    shapes = [logits.shape, contributions.shape]
    if shapes != [(rows, 1), (rows, columns)]:
        raise BundleError(f"{path}: the graph gives {shapes} for {rows} inputs; allowed: one row for each")
    if not (np.isfinite(logits).all() and np.isfinite(contributions).all()):
        raise BundleError(f"{path}: the graph gives numbers that are not finite")
    return logits[:, 0], contributions
