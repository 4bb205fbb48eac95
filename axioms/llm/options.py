"""The options of a command that asks a language model."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefmodel.errors import InputError

if TYPE_CHECKING:
    from axioms.llm.client import LLM, LLMOptions

# A command imports this file before it knows whether a language model is wanted, so what is heavy comes later.


def llm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a language model; the command gets them as `llm`, an `LLMOptions` or None.

    Put it under `@click.command()`, among the other options.
    """

    @wraps(command)
    def with_options(*args: Any, **values: Any) -> Any:
        own = {name.removeprefix("llm_"): values.pop(name) for name in list(values) if name.startswith("llm_")}
        return command(*args, llm=chosen_options(**own), **values)

    for option in reversed(
        [
            click.option(
                "--llm-url", metavar="URL", help="An OpenAI-compatible API, such as http://127.0.0.1:8000/v1."
            ),
            click.option("--llm-model", metavar="NAME", help="The language model's name there."),
            click.option(
                "--llm-cache",
                metavar="FILE",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Where its answers are kept; by default in the user's cache folder.",
            ),
            click.option("--llm-concurrency", type=click.IntRange(min=1), help="Requests at once.  [default: 8]"),
            click.option(
                "--llm-budget",
                type=click.IntRange(min=0),
                metavar="TOKENS",
                help="Stop when so many tokens of prompts and answers are spent; repeat the command to go on.",
            ),
            click.option(
                "--llm-key-env",
                metavar="VARIABLE",
                help="Environment variable with the API key.  [default: OPENAI_API_KEY]",
            ),
        ]
    ):
        with_options = option(with_options)
    return with_options


def open_llm(options: LLMOptions) -> LLM:
    """Return the language model; close it, or use it in a `with` block. Errors as for `LLM`.

    >>> from random import Random
    >>> from axioms.llm.client import LLMOptions
    >>> from axioms.llm.registry import LLM_AXIOMS
    >>> threads = []  # with some, the model would be asked
    >>> with open_llm(LLMOptions("http://127.0.0.1:8080/v1", "local", Path(":memory:"))) as llm:
    ...     list(LLM_AXIOMS["llm_groundedness"](threads, Random(0), llm))
    []
    """
    from axioms.llm.client import LLM

    return LLM(options)


def chosen_options(url: str | None, model: str | None, **others: Any) -> LLMOptions | None:
    """Return the `LLMOptions` of what was typed, or None if there is no URL.

    Raises:
        InputError: other options are given without a URL, or a URL without a model, or a value is not allowed.

    >>> chosen_options(None, None) is None
    True
    """
    from axioms.llm.client import LLMOptions

    given = {name: value for name, value in others.items() if value is not None}
    if url is None:
        for name in [*(["model"] if model is not None else []), *given]:
            raise InputError(f"--llm-{name.replace('_', '-')} is given without --llm-url; allowed: both, or neither")
        return None
    if model is None:
        raise InputError("--llm-model is missing; allowed: the name of a model at --llm-url")
    return LLMOptions(url, model, **given)
