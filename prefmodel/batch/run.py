"""Scores of all rows of files: streamed, in order, and not lost when the run is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

from tqdm import tqdm

from prefmodel.batch.columns import Additions, Columns
from prefmodel.batch.journal import BATCH_TOKENS, Journal, Place, errors_file, progress_folder
from prefmodel.batch.output import output_for
from prefmodel.batch.reading import SourceError
from prefmodel.batch.sources import STDIN, Source, find_sources
from prefmodel.batch.worker import Done, Plan, Prepared, Worker
from prefmodel.batching import ahead
from prefmodel.bundle_files import MANIFEST
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import sha256
from prefmodel.model import PreferenceModel

Engine: TypeAlias = Callable[[Plan, Path], Iterator[Done]]
"""Yields the finished chunks of a plan, in order, packed for an output of that name."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is read and what is written.

    Args:
        columns: which columns hold the texts.
        additions: what goes to a row beside its scores.
        strict: stop at the first bad row.
        restart: forget what a run before has finished.
        stdin_format: `.jsonl`, `.csv` or `.tsv`, where the input is "-".
    """

    columns: Columns = field(default_factory=Columns)
    additions: Additions = field(default_factory=Additions)
    strict: bool = False
    restart: bool = False
    stdin_format: str = ".jsonl"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, this one and those that it went on from.

    Args:
        rows: rows that were scored.
        kept: those of them that are in the output.
        bad: rows that could not be scored.
        cut: rows of which the model saw a question or an answer only in part.
        resumed: rows that were scored before this run.
        notes: what else the user should know.
    """

    rows: int
    kept: int
    bad: int
    cut: int
    resumed: int = 0
    notes: tuple[str, ...] = ()


def local(model: PreferenceModel) -> Engine:
    """Return the engine that scores in this process, and reads and tokenises the next chunk meanwhile."""

    def engine(plan: Plan, output: Path) -> Iterator[Done]:
        worker = Worker(model, plan, output_for(output))
        prepared: Iterator[Prepared] = map(worker.prepare, plan.chunks())
        if all(source.path != STDIN for source in plan.sources):  # a thread that waits for input cannot be stopped
            prepared = ahead(prepared)
        return map(worker.finish, prepared)

    return engine


def score_files(
    model: PreferenceModel,
    where: str | Path,
    output: str | Path,
    options: Options | None = None,
    engine: Engine | None = None,
    errors: Callable[[bytes], None] = lambda lines: None,
) -> Summary:
    """Score every row of files and write one file; it appears whole or not at all.

    What is finished lies in `OUTPUT.progress`. A run that was killed, or stopped by an error, goes on from there when
    it is repeated, and its output is the same, byte for byte, as that of a run that was not. Rows that cannot be scored
    go to `OUTPUT.errors.jsonl`, with file, line, reason and the row.

    Args:
        model: the model.
        where: a file (`.jsonl`, `.jsonl.gz`, `.csv`, `.tsv`, `.parquet`), a folder or a glob of such files, or "-" for
            standard input.
        output: the file to write, in any of these formats.
        options: what is read and what is written.
        engine: what computes; by default this process.
        errors: gets the rows that cannot be scored as they are found, JSON lines as in `OUTPUT.errors.jsonl`.

    Raises:
        FileFormatError: a file cannot be read or written; or no row can be scored; or one cannot and the run is strict,
            as it always is where the output replaces the input.
        InputError: what was finished is of another run, or another process works on it.

    Example:
        >>> import tempfile; folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "in.csv").write_text("question,answer\\nWhy is the sky blue?,Air scatters blue light.\\n")
        >>> score_files(PreferenceModel.from_pretrained(), folder / "in.csv", folder / "out.jsonl").rows
        1
    """
    options, output = options or Options(), Path(output)
    form = output_for(output)
    sources, ignored = find_sources(where, options.stdin_format, [output, errors_file(output), progress_folder(output)])
    notes, replaced = _ignored(ignored), set[str]()
    in_place = any(source.path != STDIN and Path(source.path).resolve() == output.resolve() for source in sources)
    journal = Journal(output, _facts(model, sources, options), options.restart)
    resumed = journal.place.rows
    if not journal.ready:
        try:
            if (options.strict or in_place) and journal.place.bad:
                raise InputError(f"there are {journal.place.bad} bad rows among those that are done; allowed: none")
            options = replace(options, strict=options.strict or in_place)
            plan = _plan(sources, options, journal.run[BATCH_TOKENS], journal.place)
            for done in _with_bar((engine or local(model))(plan, output), sources, resumed):
                journal.append(done.packed, done.errors, _after(journal.place, done))
                errors(done.errors)
                replaced |= done.replaced
            if journal.place.bad and not journal.place.rows:
                raise FileFormatError(f"{_none(where, journal.place, options)}; {output} is not written")
            notes += [*_replaced(replaced), *journal.finish(form.finish)]
        except SourceError as error:
            journal.stop(error.source)
            raise
        finally:
            journal.close()
    place = journal.place
    return Summary(place.rows, place.kept, place.bad, place.cut, resumed, tuple(notes))


def score_stream(
    model: PreferenceModel,
    where: str | Path,
    rows: Callable[[bytes], None],
    errors: Callable[[bytes], None],
    options: Options | None = None,
    engine: Engine | None = None,
) -> Summary:
    """Score every row of files and pass on what is finished, chunk by chunk, as JSON lines; nothing is kept on disk.

    Args:
        model, where, options, engine: as for `score_files`.
        rows: gets the finished rows.
        errors: gets the rows that cannot be scored, JSON lines with file, line, reason and row.

    Raises:
        FileFormatError: a file cannot be read; or no row can be scored; or, with `strict`, one cannot.
    """
    options = options or Options()
    sources, ignored = find_sources(where, options.stdin_format)
    place, replaced = Place(), set[str]()
    plan = _plan(sources, options, model.batch_tokens, place)
    for done in _with_bar((engine or local(model))(plan, Path("rows.jsonl")), sources, 0):
        place = _after(place, done)
        rows(done.packed)
        errors(done.errors)
        replaced |= done.replaced
    if place.bad and not place.rows:
        raise FileFormatError(_none(where, place, options))
    notes = [*_ignored(ignored), *_replaced(replaced)]
    return Summary(place.rows, place.kept, place.bad, place.cut, 0, tuple(notes))


def _none(where: str | Path, place: Place, options: Options) -> str:
    hint = f"; it was read as {options.stdin_format[1:]}, see --stdin-format" if str(where) == STDIN else ""
    return f"{where}: none of {place.bad} rows can be scored{hint}"


def _ignored(names: list[str], shown: int = 3) -> list[str]:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return [f"not read: {', '.join(names[:shown])}{more}"] if names else []


def _replaced(columns: set[str]) -> list[str]:
    return [f"columns of the input were replaced: {', '.join(sorted(columns))}"] if columns else []


def _facts(model: PreferenceModel, sources: list[Source], options: Options) -> dict[str, Any]:
    """Return what tells one run from another. Neither `strict` nor the engine does: they change no finished row."""
    bundle = model.bundle
    return {
        "sources": [source.facts() for source in sources],
        "the model": f"{sha256(bundle.folder / MANIFEST)[:16]} {bundle.precision}",
        "the backend": f"{model.backend.name} {model.backend.compute}",
        "the version of prefmodel": version("prefmodel"),
        BATCH_TOKENS: model.batch_tokens,
        **{
            f"the option {name}": value
            for name, value in {**asdict(options.columns), **asdict(options.additions)}.items()
        },
    }


def _plan(sources: list[Source], options: Options, batch_tokens: int, place: Place) -> Plan:
    start = place.source, place.records, place.digest
    return Plan(sources, options.columns, options.additions, options.strict, batch_tokens, *start)


def _after(place: Place, done: Done) -> Place:
    return replace(
        place,
        source=done.source,
        records=done.end,
        digest=done.digest,
        rows=place.rows + done.rows,
        kept=place.kept + done.kept,
        bad=place.bad + done.bad,
        cut=place.cut + done.cut,
    )


def _with_bar(finished: Iterator[Done], sources: list[Source], resumed: int) -> Iterator[Done]:
    """Yield what is finished and show, on a terminal, rows, rows a second, and the time left by the bytes read."""
    before = list(accumulate((source.bytes for source in sources), initial=0))
    layout = "{percentage:3.0f}%|{bar}| {desc} {elapsed}<{remaining}" if before[-1] else "{desc} {elapsed}"
    rows = 0
    with tqdm(total=before[-1] or None, bar_format=layout, disable=None) as bar:
        for done in finished:
            yield done
            position = before[done.source] + done.position
            if resumed and not rows:
                bar.initial = bar.n = position  # what was read again says nothing about the time left
            rows += done.rows + done.bad
            rate = rows / max(1e-9, bar.format_dict["elapsed"])
            bar.set_description_str(f"{resumed + rows} rows, {rate:.0f} rows/s,", refresh=False)
            bar.update(position - bar.n)
