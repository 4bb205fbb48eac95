"""An axiom with the language model that it asks, called like any other; each process opens the model for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from axioms.llm.client import LLM, LLMOptions
from axioms.llm.registry import LLM_AXIOMS
from prefmodel.types import PreferencePair, Thread

_opened: dict[LLMOptions, LLM] = {}


@dataclass(frozen=True, slots=True)
class Asking:
    """An axiom that asks a language model; it can be pickled.

    Args:
        name: of `LLM_AXIOMS`.
        options: which model, and how it is asked.

    >>> Asking("llm_groundedness", LLMOptions("http://127.0.0.1:8080/v1", "small")).identity
    'llm_groundedness small'
    """

    name: str
    options: LLMOptions

    def __call__(self, threads: Sequence[Thread], rng: Random) -> Iterator[PreferencePair]:
        return LLM_AXIOMS[self.name](threads, rng, _llm(self.options))

    @property
    def identity(self) -> str:
        """What tells its pairs from others, beside the code: not the address, nor how much is asked at once."""
        return f"{self.name} {self.options.model}"

    def take_skipped(self) -> Counter[str]:
        """Return how many pairs did not come about in this process since the last call, by reason."""
        skipped = _llm(self.options).skipped
        own = [(axiom, reason) for axiom, reason in skipped if axiom == self.name]
        return Counter({reason: skipped.pop((axiom, reason)) for axiom, reason in own})


@contextmanager
def models_of(axioms: Iterable[object]) -> Iterator[None]:
    """Open the language models that axioms ask, so that what they lack is told at once; close them at the end.

    Args:
        axioms: those of a run; most ask none.

    Raises:
        MissingExtraError, InputError, FileFormatError: as for `LLM`.

    >>> with models_of([]):
    ...     spent_tokens()
    0
    """
    try:
        for axiom in axioms:
            if isinstance(axiom, Asking):
                _llm(axiom.options)
        yield
    finally:
        while _opened:
            _opened.popitem()[1].close()


def spent_tokens() -> int:
    """Return the tokens of prompts and answers that this process has spent on the models that are open."""
    return sum(llm.tokens for llm in _opened.values())


def _llm(options: LLMOptions) -> LLM:
    if options not in _opened:
        _opened[options] = LLM(options)
    return _opened[options]
