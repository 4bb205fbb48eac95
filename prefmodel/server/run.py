"""Running the server: one process, or several that share a port; both end in order on SIGTERM."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess

import uvicorn
from fastapi import FastAPI

from prefmodel.errors import InputError, PrefModelError, shown
from prefmodel.server.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep an idle connection, so that it is the client that closes it and no request meets the end."""

DRAIN_SECONDS = 0.5
"""After SIGTERM, connections stay open so long: a request that is under way to us is answered, and its client told to
leave. Closed at once, it would meet a closed connection."""

KILL_SECONDS = 10
"""A worker that is still there so long after its time-out is killed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a server process has to know.

    Args:
        model: folder, name on the Hub, or None for the default model.
        revision: of a model on the Hub.
        precision: "int8", "float32", "float16" or None.
        threads: CPU threads for scoring in each process.
        backend: what runs the network, or None for the fastest that is installed.
        settings: limits, the token.
        host: address to listen on.
        port: port to listen on; 0 for a free one.
    """

    model: str | None
    revision: str | None
    precision: str | None
    threads: int
    backend: str | None
    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8000


class Server(uvicorn.Server):
    """A server that answers what is under way before it closes connections."""

    def __init__(self, app: FastAPI, settings: Settings):
        self._app, self._settings = app, settings
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="on",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                ws="none",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                # A little more, because what waits gets its 503 at shutdown_seconds.
                timeout_graceful_shutdown=int(settings.shutdown_seconds) + 2,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let requests that are under way come in, answer all, close."""
        self._app.state.draining = True
        for server in self.servers:
            server.close()
        asyncio.get_running_loop().call_later(self._settings.shutdown_seconds, self._app.state.batcher.give_up)
        if self.server_state.connections:
            await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """Return a bound socket.

    Args:
        host: address or name.
        port: 0 for a free one.
        shared: other processes may bind the same port; Linux then spreads connections over those that listen.

    Raises:
        InputError: the address cannot be used.
    """
    if shared and not hasattr(socket, "SO_REUSEPORT"):
        raise InputError("workers is above 1; allowed: 1, because this system cannot share a port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except UnicodeError:  # of an empty label, as in ".example", or one of over 63 characters
        raise InputError(f"host is {shown(host)}; allowed: an address or a name") from None
    except OSError as error:
        raise InputError(f"host and port are {host} and {port}; {error.strerror}") from None
    return bound


def run_here(job: Job, bound: socket.socket) -> None:
    """Load the model and serve in this process until SIGTERM or Ctrl-C, then exit with status 0."""
    from prefmodel.model import PreferenceModel
    from prefmodel.server.app import create_app

    for number in (signal.SIGINT, signal.SIGTERM):
        # While the model loads there is nothing to answer. Later uvicorn has the signals, and raises them again here
        # when all is answered.
        signal.signal(number, lambda *_: sys.exit(0))
    model = PreferenceModel.from_pretrained(job.model, job.revision, job.precision, job.threads, job.backend)
    Server(create_app(model, job.settings), job.settings).run([bound])


def run_workers(job: Job, workers: int) -> None:
    """Serve in several processes until SIGTERM or Ctrl-C; one that is killed is replaced.

    Raises:
        InputError: a worker ended with an error of its own, as it would again.
    """
    from prefmodel.server.metrics import SHARED

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with tempfile.TemporaryDirectory(prefix="prefmodel-metrics-") as folder:
        os.environ[SHARED] = folder  # before the workers start, because they read it when they import
        processes = [_started(job) for _ in range(workers)]
        failed = None
        while not stopping.is_set() and failed is None:
            # Short, because a signal does not wake `wait`.
            multiprocessing.connection.wait([process.sentinel for process in processes], timeout=0.2)
            for i, process in enumerate(processes):
                if process.exitcode is None or stopping.is_set():
                    continue
                if process.exitcode > 0:
                    failed = process.exitcode
                    break
                _forget(process)
                processes[i] = _started(job)
        _end(processes, job.settings.shutdown_seconds + KILL_SECONDS)
    if failed is not None:
        raise InputError(f"a worker ended with status {failed}; its error stands above")


def _end(processes: list[SpawnProcess], seconds: float) -> None:
    for process in processes:
        process.terminate()
    due = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, due - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()


def _started(job: Job) -> SpawnProcess:
    # Spawned, because a fork of a process with threads may hang.
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(job,))
    process.start()
    return process


def _forget(process: SpawnProcess) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    if process.pid is not None:
        mark_process_dead(process.pid)  # type: ignore[no-untyped-call] # its queue is gone; its counts stay


def _work(job: Job) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # it was spawned

    def end_with_the_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_the_parent, daemon=True).start()
    try:
        run_here(job, listen(job.host, job.port, shared=True))
    except PrefModelError as error:
        sys.exit(f"error: {error}")  # in one line, as the command tells it
