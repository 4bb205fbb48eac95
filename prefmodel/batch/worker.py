"""From rows that were read to rows that are finished: what one process does, whatever the engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from prefmodel.batch.columns import Additions, Columns, Texts, names_of, texts_of, with_scores
from prefmodel.batch.output import Output, Rows, json_line
from prefmodel.batch.reading import Chunk, Record, SourceError, read_chunks
from prefmodel.batch.sources import Source
from prefmodel.batching import window_rows
from prefmodel.errors import InputError
from prefmodel.files import Row
from prefmodel.model import Encoded, PreferenceModel, Scores


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, from where on, and what is made of it. It pickles, for engines of several processes.

    Args:
        sources: what is read, in order.
        columns: which columns hold the texts.
        additions: what goes to a row beside its scores.
        strict: stop at the first bad row.
        batch_tokens: padded tokens that go through the graph at once; half as many rows are a chunk.
        source: index of the source to begin with.
        skip: records of that source that are done.
        digest: of the chunk that ended there.
    """

    sources: list[Source]
    columns: Columns = field(default_factory=Columns)
    additions: Additions = field(default_factory=Additions)
    strict: bool = False
    batch_tokens: int = 1024
    source: int = 0
    skip: int = 0
    digest: str = ""

    def chunks(self) -> Iterator[Chunk]:
        """Yield what is to be scored.

        Raises:
            SourceError: a source cannot be read (on).
        """
        rows = window_rows(self.batch_tokens)
        for index in range(self.source, len(self.sources)):
            begin = (self.skip, self.digest) if index == self.source else (0, "")
            try:
                yield from read_chunks(index, self.sources[index], rows, *begin)
            except SourceError as error:
                error.source = index
                raise


@dataclass(frozen=True, slots=True)
class Done:
    """One finished chunk.

    Args:
        source, end, digest, position: as of the `Chunk`.
        packed: its rows, as the output wants them.
        errors: its bad rows as JSON lines with file, line, reason and row.
        rows: how many rows were scored.
        kept: how many of them are in `packed`.
        bad: how many could not be scored.
        cut: of how many rows the model saw a question or an answer only in part.
        replaced: columns that were read, and in `packed` hold what was computed.
    """

    source: int
    end: int
    digest: str
    position: int
    packed: bytes
    errors: bytes
    rows: int
    kept: int
    bad: int
    cut: int
    replaced: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk that is ready for the graph.

    Args:
        chunk: the chunk.
        good: (place in the chunk, row, its texts) of the rows that can be scored.
        bad: what is told of the others.
        encoded: the texts of `good`, in order.
    """

    chunk: Chunk
    good: list[tuple[int, Row, Texts]]
    bad: list[Row]
    encoded: Encoded


class Worker:
    """Scores chunks, in two steps: `prepare` needs no graph, and can be done ahead.

    Args:
        model: the model.
        plan: what is made of a row.
        output: how rows become bytes.

    Example:
        >>> from prefmodel.batch.output import output_for
        >>> chunk = Chunk(0, "rows.jsonl", [Record(1, {"question": "Why?"})], 1, "", 0)
        >>> worker = Worker(PreferenceModel.from_pretrained(), Plan([]), output_for("out.jsonl"))
        >>> worker(chunk).errors[:28]
        b'{"file": "rows.jsonl", "line'
    """

    def __init__(self, model: PreferenceModel, plan: Plan, output: Output):
        self._model = model
        self._plan = plan
        self._output = output

    def __call__(self, chunk: Chunk) -> Done:
        """Return the finished rows and the bad ones of a chunk; errors as of `prepare`."""
        return self.finish(self.prepare(chunk))

    def prepare(self, chunk: Chunk) -> Prepared:
        """Return a chunk with the texts of its good rows as token ids.

        Raises:
            SourceError: there is a bad row and the plan is strict.
        """
        good: list[tuple[int, Row, Texts]] = []
        bad: list[Row] = []
        for place, record in enumerate(chunk.records):
            try:
                good.append((place, *self._read(record, chunk.cells)))
            except InputError as error:
                if self._plan.strict:
                    stop = SourceError(f"{chunk.name}, line {record.line}: {error}")
                    stop.source = chunk.source
                    raise stop from None
                row = record.text if record.row is None else record.row
                bad.append({"file": chunk.name, "line": record.line, "reason": str(error), "row": row})
        questions = [texts.question for _, _, texts in good for _ in texts.all]
        return Prepared(chunk, good, bad, self._model.encode(questions, [a for _, _, t in good for a in t.all]))

    def finish(self, prepared: Prepared) -> Done:
        """Return the finished rows and the bad ones of a chunk."""
        chunk, good, bad = prepared.chunk, prepared.good, prepared.bad
        scores = self._model.score_encoded(prepared.encoded, self._plan.batch_tokens)
        cut = (scores.question_cut > 0) | (scores.answer_cut > 0)
        rows, replaced = self._scored(prepared, scores, self._plan.additions)
        if good and not rows.rows:  # an output without rows has the columns that those would have
            everything = replace(self._plan.additions, min_score=-sys.float_info.max)
            rows = replace(rows, like=self._scored(prepared, scores, everything)[0])
        packed = self._output.pack(rows)
        errors = b"".join(map(json_line, bad))
        return Done(
            chunk.source,
            chunk.end,
            chunk.digest,
            chunk.position,
            packed,
            errors,
            len(good),
            len(rows.rows),
            len(bad),
            sum(bool(cut[part].any()) for part in _parts(prepared)),
            replaced,
        )

    def _scored(self, prepared: Prepared, scores: Scores, additions: Additions) -> tuple[Rows, frozenset[str]]:
        """Return the rows that are kept, and which of the columns that were read hold what was computed."""
        chunk, rows, places = prepared.chunk, list[Row](), list[int]()
        changed, replaced = set[str](), set[str]()
        for (place, row, texts), part in zip(prepared.good, _parts(prepared), strict=True):
            scored = with_scores(row, texts, _part(scores, part), self._model.bundle.contributions, additions)
            if scored is not None:
                rows.append(scored)
                places.append(place)
                new = {name for name in scored if name not in row or scored[name] is not row[name]}
                changed |= new
                replaced |= new & row.keys() - set(texts.columns.values())  # in those, some answers were left out
        return Rows(rows, chunk.table, places, changed, chunk.columns), frozenset(replaced)

    def _read(self, record: Record, cells: bool) -> tuple[Row, Texts]:
        if record.row is None:
            raise InputError(str(record.problem))
        texts = texts_of(record.row, self._plan.columns, cells)
        if self._plan.additions.top_k is not None and "answers" not in texts.columns:
            raise InputError(f"columns are {names_of(record.row)}; allowed with top-k: answers")
        return record.row, texts


def _parts(prepared: Prepared) -> Iterator[slice]:
    """Yield where the scores of each good row are among all."""
    start = 0
    for _, _, texts in prepared.good:
        yield slice(start, start + len(texts.all))
        start += len(texts.all)


def _part(scores: Scores, part: slice) -> Scores:
    return Scores(scores.scores[part], scores.contributions[part], scores.question_cut[part], scores.answer_cut[part])
