"""The command `prefmodel serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from prefmodel.commands import model_options
from prefmodel.errors import InputError

TOKEN_VARIABLE = "PREFMODEL_TOKEN"
SETTINGS = {
    "max_body_bytes": "--max-body",
    "max_rows": "--max-rows",
    "max_text_chars": "--max-chars",
    "queue_tokens": "--queue",
    "queue_bytes": "--queue-bytes",
    "batch_tokens": "--batch",
    "wait_ms": "--wait",
    "request_seconds": "--timeout",
    "body_seconds": "--body-timeout",
    "shutdown_seconds": "--shutdown-timeout",
}
"""The option of each field of `Settings`."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for every one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes.")
@click.option("--token-file", metavar="PATH", help=f"File with the bearer token; or set {TOKEN_VARIABLE}.")
@click.option("--name", help="Name of the model in answers; by default that of --model.")
@click.option("--max-body", type=int, metavar="BYTES", help="Size of a request.")
@click.option("--max-rows", type=int, help="Rows of a request, turns of a dialogue.")
@click.option("--max-chars", type=int, help="Characters of a text.")
@click.option("--queue", type=int, metavar="TOKENS", help="Waiting work from which on requests get 503.")
@click.option("--queue-bytes", type=int, metavar="BYTES", help="Bodies in memory from which on requests get 503.")
@click.option("--batch", type=int, metavar="TOKENS", help="Work that is scored together.")
@click.option("--wait", type=float, metavar="MS", help="How long a request waits for others to join it.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long a request may take.")
@click.option("--body-timeout", type=float, metavar="SECONDS", help="How long a request's body may take to come.")
@click.option("--shutdown-timeout", type=float, metavar="SECONDS", help="How long answering may take after SIGTERM.")
@model_options
def serve(host: str, port: int, workers: int, token_file: str | None, name: str | None, **options: Any) -> None:
    """Serve a model over HTTP until SIGTERM or Ctrl-C.

    There are our own endpoints, those of text-embeddings-inference, vLLM and Cohere, and the one that OpenRLHF asks
    for rewards; GET /docs lists them, and GET / is a page to try it on. The threads of --threads are divided among
    the workers. Each worker has a queue of its own; /metrics adds them up.
    """
    from prefmodel.bundle import Bundle
    from prefmodel.cpus import usable_cpus
    from prefmodel.server.run import Job, listen, run_here, run_workers
    from prefmodel.server.settings import Settings

    given = {field: options[option.removeprefix("--").replace("-", "_")] for field, option in SETTINGS.items()}
    given |= {"model_name": name or _name_of(options["model"]), "token": _token(token_file)}
    try:
        settings = Settings(**{field: value for field, value in given.items() if value is not None})
    except InputError as error:  # says the name of the field first
        field, _, rest = str(error).partition(" ")
        raise InputError(f"{SETTINGS.get(field, field)} {rest}") from None
    bundle = Bundle.open(options["model"], options["revision"], options["precision"])  # before any process starts
    threads = max(1, (options["threads"] or usable_cpus()) // workers)
    # The tokenizer's own threads; without a limit every worker would start one for each CPU.
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    bound = listen(host, port)
    port = bound.getsockname()[1]
    named = options["model"], options["revision"], options["precision"]
    job = Job(*named, threads, options["backend"], settings, host, port)
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    each = f"{workers} workers, {threads} threads each" if workers > 1 else f"{threads} threads"
    click.echo(f"serving {settings.model_name} ({bundle.precision}, {each}) on {where}", err=True)
    if workers == 1:
        run_here(job, bound)
        return
    # The port was free when it was bound alone. Now it is bound for sharing, and held without listening, so that it
    # stays ours while workers come and go.
    bound.close()
    with listen(host, port, shared=True):
        run_workers(job, workers)


def _name_of(model: str | None) -> str | None:
    """Return the last part of a model's name, or of its folder's whole path: "." has no name of its own."""
    return os.path.basename(os.path.abspath(model)) or None if model else None


def _token(path: str | None) -> str | None:
    """Return the token from a file or the environment; never from an argument, which every user of a machine sees."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file is {path}; {error}") from None
    if not token:
        raise InputError(f"--token-file is {path}, which is empty; allowed: a file with the token")
    return token
