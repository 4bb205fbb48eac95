"""The sub-command `score`: one answer, or every row of files."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from prefmodel.commands import check_texts, load, model_options, print_text, tell_cuts, warn

if TYPE_CHECKING:
    from prefmodel.batch.run import Engine, Summary
    from prefmodel.model import PreferenceModel

BAD_ROWS = 3
"""Exit status of a run that is complete but for rows that could not be scored."""
BAD_ROWS_SHOWN = 3
OF_ONE_ANSWER = {"question", "answer", "model", "revision", "precision", "threads", "backend"}
"""Options that `score` heeds without IN."""


@click.command()
@click.argument("path", required=False, metavar="[IN]")
@click.option("-o", "--output", metavar="OUT", help="File to write; without it, or with -, JSON lines go to stdout.")
@click.option("--question", help="Score one answer to this question.")
@click.option("--answer", help="The answer to --question.")
@click.option("--question-column", metavar="NAME", help="By default question, prompt or messages.")
@click.option("--answer-column", metavar="NAME", help="By default answer, completion, or the last of messages.")
@click.option("--answers-column", metavar="NAME", help="Column of lists of answers; by default answers.")
@click.option("--chosen-column", metavar="NAME", help="With --rejected-column; by default chosen.")
@click.option("--rejected-column", metavar="NAME", help="With --chosen-column; by default rejected.")
@click.option("--contributions", is_flag=True, help="Add the parts of each score.")
@click.option("--truncated", is_flag=True, help="Add how many tokens of question and answer the model did not see.")
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    help="Of `answers` keep so many, best first, and their places in `answers_kept`.",
)
@click.option("--min-score", type=float, help="Leave out answers, and rows whose answer or chosen scores, below this.")
@click.option("--strict", is_flag=True, help="Stop at the first row that cannot be scored.")
@click.option("--restart", is_flag=True, help="Forget what an earlier run of OUT has finished.")
@click.option("--stdin-format", type=click.Choice(["jsonl", "csv", "tsv"]), default="jsonl", show_default=True)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--ray-address", metavar="ADDRESS", help="An existing Ray cluster; by default one on this machine.")
@click.option("--actors", type=click.IntRange(min=1), help="Copies of the model on Ray; by default one for two CPUs.")
@model_options
def score(path: str | None, output: str | None, question: str | None, answer: str | None, **options: Any) -> None:
    """Score one answer, or every row of IN.

    IN is a file (.jsonl, .jsonl.gz, .csv, .tsv, .parquet), a folder or a quoted glob of such files, or - for stdin.
    Rows have a question, and: one answer, which gives `score`; `answers`, which give `scores`; `chosen` and `rejected`,
    which give `score_chosen`, `score_rejected` and `score_margin`. Texts may be messages with role and content, as
    trainers have them. Other columns and the order of rows are kept.

    OUT appears whole or not at all; repeat a command that was stopped, and it goes on. Rows that cannot be scored go to
    OUT.errors.jsonl. Exit status: 0; 3 if some rows could not be scored; 1 for an error, after which OUT is as it was.
    """
    if path is not None and question is None and answer is None:
        _score_rows(path, None if output == "-" else output, options)
    elif path is None and output is None and question is not None and answer is not None:
        _refuse_options_of_rows()
        check_texts({"--question": question, "--answer": answer})
        model = load(options)
        scores = model.score_batch([question], [answer])
        print_text(f"{scores.scores[0]:.4f}")
        tell_cuts(model, scores.question_cut[0], scores.answer_cut)
    else:
        raise click.UsageError("give either IN (and -o OUT), or both --question and --answer")


def _refuse_options_of_rows() -> None:
    """Complain about an option that one answer has no use for, which the user would think was heeded."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and option.name not in OF_ONE_ANSWER:
            raise click.UsageError(f"{option.opts[0]} has no effect on one answer; allowed: with IN")


def _score_rows(path: str, output: str | None, options: dict[str, Any]) -> None:
    from prefmodel.batch.columns import Additions, Columns
    from prefmodel.batch.journal import progress_folder
    from prefmodel.batch.output import output_for
    from prefmodel.batch.run import Options, score_files, score_stream
    from prefmodel.batch.sources import find_sources

    columns = Columns(
        **{name: options[f"{name}_column"] for name in ("question", "answer", "answers", "chosen", "rejected")}
    )
    additions = Additions(**{name: options[name] for name in ("contributions", "truncated", "top_k", "min_score")})
    settings = Options(columns, additions, options["strict"], options["restart"], f".{options['stdin_format']}")
    # A wrong name shall not cost the time that a model takes to load.
    find_sources(path, settings.stdin_format)
    if output:
        output_for(output)
    model = load(options)
    engine = _engine(model, options)
    told = 0

    def tell(errors: bytes) -> None:
        nonlocal told
        for line in errors.splitlines()[: max(0, BAD_ROWS_SHOWN - told)]:
            row = json.loads(line)
            warn(f"{row['file']}, line {row['line']}: {row['reason']}")
            told += 1

    if sys.stdout is None:
        raise click.UsageError("standard output is closed")
    stdout = sys.stdout.buffer
    try:
        with redirect_stdout(sys.stderr):  # Ray prints when it has lost a worker
            if output:
                summary = score_files(model, path, output, settings, engine, tell)
            else:
                summary = score_stream(
                    model, path, lambda rows: click.echo(rows, stdout, nl=False), tell, settings, engine
                )
    except KeyboardInterrupt:
        if output and progress_folder(Path(output)).exists():
            click.echo("stopped; repeat the command to go on", err=True)
        raise
    _tell(summary, model, output)
    if summary.bad:
        click.get_current_context().exit(BAD_ROWS)


def _engine(model: PreferenceModel, options: dict[str, Any]) -> Engine | None:
    if options["engine"] == "local":
        return None
    from prefmodel.batch.ray_engine import on_ray

    where = options["threads"], options["actors"], options["ray_address"]
    return on_ray(model, options["model"], options["revision"], *where)


def _tell(summary: Summary, model: PreferenceModel, output: str | None) -> None:
    from prefmodel.batch.journal import errors_file

    for note in summary.notes:
        warn(note)
    if summary.resumed:
        click.echo(f"went on after {summary.resumed} rows", err=True)
    if summary.cut:
        warn(f"{summary.cut} of {summary.rows} rows were cut to {model.bundle.encoding.max_tokens} tokens")
    if summary.kept < summary.rows:
        click.echo(f"kept {summary.kept} of {summary.rows} rows", err=True)
    if summary.bad:
        where = f"; they are in {errors_file(Path(output))}" if output else ""
        warn(f"{summary.bad} of {summary.rows + summary.bad} rows could not be scored{where}")
