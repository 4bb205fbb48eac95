"""A connection to Ray, and how many models go on it."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefmodel.cpus import usable_cpus
from prefmodel.errors import InputError, PrefModelError, missing_extra, one_line, shown

try:
    import ray
except ImportError:
    raise missing_extra("the engine ray", "ray") from None

THREADS = 2
"""CPU threads of one model, where neither they nor the number of models are given."""


def pool(threads: int | None, actors: int | None) -> tuple[int, int]:
    """Return how many models to load, and the CPU threads of each; no more than the nodes have, where it is not given.

    Raises:
        InputError: no node has so many CPUs as `threads`.
    """
    known = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [int(node["Resources"].get("CPU", 0)) for node in known if node["Alive"]]
    if threads is None:
        threads = max(1, min(THREADS if actors is None else sum(nodes) // actors, max(nodes)))
    if actors is None:
        actors = sum(cpus // threads for cpus in nodes)
    if not actors:
        raise InputError(f"threads is {threads}; allowed: up to {max(nodes)}, the CPUs of the cluster's largest node")
    return actors, threads


@contextmanager
def connected(address: str | None, cpus: int) -> Iterator[None]:
    """Connect to Ray, quietly, and disconnect at the end; a connection that there is already is used and kept.

    Args:
        address: of a cluster that this machine is a node of, or "auto"; None starts one on this machine and stops it.
        cpus: how many the one on this machine shall have at least.

    Raises:
        InputError: nothing listens at the address, or there is a connection already.
        PrefModelError: what listens is no Ray of this version, there is none for "auto", or it does not start.
    """
    if ray.is_initialized():
        if address is not None:
            raise InputError(f"the address is {shown(address)}; allowed: none, because Ray is connected already")
        yield
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong comes as an exception
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        where: dict[str, Any] = {"address": "local", "num_cpus": max(cpus, usable_cpus()), "include_dashboard": False}
    else:
        _check_address(address)
        where = {"address": address}
    try:
        with _no_stderr():
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise PrefModelError(f"Ray at {address or 'this machine'}: {one_line(error)}") from None
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # the terminal; Ray's log files keep everything
            handler.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "The minimum number of concurrent actors")  # of inputs with fewer chunks
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise InputError where nothing listens at an address: Ray would try for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    try:
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        allowed = "auto, or host:port of a cluster that this machine is a node of"
        raise InputError(f"the address is {shown(address)}; allowed: {allowed} ({one_line(error)})") from None


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Silence the process: Ray's core says on stderr that it was told to be quiet."""
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
