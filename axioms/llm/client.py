"""A language model behind an OpenAI-compatible endpoint: asked by several threads at once, on a budget of tokens."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from axioms.llm.cache import AnswerCache, Messages, Reply, Sampling, key_of
from axioms.llm.failures import BudgetSpent, EndpointError, budget_spent, explained, no_api
from prefmodel.batch_tokens import cache_folder
from prefmodel.errors import InputError, missing_extra, shown

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4
"""Items under way or finished for each thread of `LLM.map`, so that a slow one holds up no others."""
CHARACTERS = 4
"""Of a token, roughly: for endpoints that do not say how many tokens they used."""


def default_cache() -> Path:
    """Return where answers are kept if no file is named: in the user's cache folder."""
    return cache_folder() / "llm-answers.sqlite3"


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """Which language model to ask, and how. It pickles, so each worker process may open the model for itself.

    Args:
        url: address of an OpenAI-compatible API, up to and with "/v1".
        model: its name there.
        cache: file for the answers.
        concurrency: at most so many requests at once.
        budget: tokens of prompts and answers that may be spent; None for no bound. Requests that are under way when
            they are spent are finished and kept, so up to `concurrency` answers may come on top. Answers from the
            cache cost nothing.
        key_env: environment variable that holds the API key; local servers need none.
        timeout: seconds that one request may take.
        retries: how often a request is tried again after 408, 409, 429, 5xx, a timeout or a broken connection; the
            pauses grow from half a second to eight, or are as long as the endpoint asks for.
        processes: that ask at the same time; each has an equal share of the concurrency, at least 1, and the budget.

    Raises:
        InputError: a value is not allowed.

    >>> LLMOptions("localhost:8000", "any")
    Traceback (most recent call last):
    prefmodel.errors.InputError: --llm-url is 'localhost:8000'; allowed: an address that begins with http:// or https://
    """

    url: str
    model: str
    cache: Path = field(default_factory=default_cache)
    concurrency: int = 8
    budget: int | None = None
    key_env: str = "OPENAI_API_KEY"
    timeout: float = 900.0
    retries: int = 6
    processes: int = 1

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(
                f"--llm-url is {shown(self.url)}; allowed: an address that begins with http:// or https://"
            )
        if not self.model.strip():
            raise InputError(f"--llm-model is {shown(self.model)}; allowed: the name of a model at --llm-url")
        if self.concurrency < 1:
            raise InputError(f"--llm-concurrency is {self.concurrency}; allowed: 1 or more")
        if self.budget is not None and self.budget < 0:
            raise InputError(f"--llm-budget is {self.budget}; allowed: 0 or more tokens")

    @property
    def at_once(self) -> int:
        """Requests of this process at once."""
        return max(1, self.concurrency // self.processes)

    @property
    def share(self) -> int | None:
        """Tokens that this process may spend."""
        return None if self.budget is None else self.budget // self.processes

    @property
    def key(self) -> str:
        """The API key, or nothing."""
        return os.environ.get(self.key_env, "").strip()


class LLM:
    """A language model. Close it, or use it in a `with` block.

    Attributes:
        options: which model, and how it is asked.
        requests: requests that were answered.
        from_cache: answers that needed no request.
        tokens: of prompts and answers, in the answered requests.
        skipped: (axiom, reason) to the number of pairs that did not come about.

    Raises:
        MissingExtraError: the openai package is not installed.
        InputError: the cache cannot be made.
        FileFormatError: the cache is another kind of file.
    """

    def __init__(self, options: LLMOptions):
        try:
            import openai
        except ImportError:
            raise missing_extra("asking a language model", "llm") from None
        self.options = options
        self.requests = self.from_cache = self.tokens = 0
        self.skipped: Counter[tuple[str, str]] = Counter()
        if not options.key.isascii():
            raise InputError(f"--llm-key-env is {shown(options.key_env)}: the key in it has letters beyond ASCII")
        self._cache = AnswerCache(options.cache)
        self._client = openai.OpenAI(
            base_url=options.url, api_key=options.key or "none", timeout=options.timeout, max_retries=options.retries
        )
        self._pool = ThreadPoolExecutor(options.at_once, "llm")
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._stop: Exception | None = None

    def ask(self, messages: Messages, sampling: Sampling) -> Reply:
        """Return the model's answer, from the cache if it is there. The threads of `map` may call this at once.

        Args:
            messages: the turns, each with `role` and `content`.
            sampling: how the answer is drawn.

        Raises:
            InputError: the endpoint, the key or the model is wrong; the text names the option.
            EndpointError: the endpoint still fails after all retries.
            BudgetSpent: it would need a request, and the budget is spent.
            Unanswered: the endpoint refuses this prompt.
        """
        key = key_of(self.options.model, messages, sampling)
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        try:
            with turn:  # who asks the same at the same time waits for the first one's answer
                return self._cached(key) or self._asked(key, messages, sampling)
        finally:
            with self._lock:
                self._turns.pop(key, None)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield `function(item)` of each item, in order, computed by `concurrency` threads, a few items ahead.

        When the budget is spent no more items are begun; what is finished is yielded, and then `BudgetSpent` raised.
        """
        window: deque[Future[R]] = deque()
        spent: BudgetSpent | None = None
        try:
            for item in items:
                window.append(self._pool.submit(function, item))
                if len(window) == AHEAD * self.options.at_once:
                    try:
                        yield window.popleft().result()
                    except BudgetSpent as error:
                        spent = error
                        break
            while window:
                try:
                    yield window.popleft().result()
                except BudgetSpent as error:
                    spent = error
        finally:
            for future in window:
                future.cancel()
        if spent is not None:
            raise spent

    def close(self) -> None:
        """Wait for the requests that are under way, whose answers are kept, and begin no others."""
        self._stop = self._stop or EndpointError("the language model is closed")
        self._pool.shutdown(cancel_futures=True)
        self._client.close()
        self._cache.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _cached(self, key: str) -> Reply | None:
        reply = self._cache.get(key)
        if reply is not None:
            with self._lock:
                self.from_cache += 1
        return reply

    def _asked(self, key: str, messages: Messages, sampling: Sampling) -> Reply:
        self._may_ask()
        try:
            reply = self._request(messages, sampling)
        except (InputError, EndpointError) as error:
            self._stop = error  # the others need not find out for themselves
            raise
        with self._lock:
            self.requests += 1
            self.tokens += reply.prompt_tokens + reply.completion_tokens
        return self._cache.put(key, reply)

    def _may_ask(self) -> None:
        if self._stop is not None:
            raise self._stop
        if self.options.share is not None and self.tokens >= self.options.share:
            raise budget_spent(self.options, self.tokens)

    def _request(self, messages: Messages, sampling: Sampling) -> Reply:
        from openai import OpenAIError
        from openai.types.chat import ChatCompletion

        for attempt in range(self.options.retries + 1):
            try:
                answer = self._client.chat.completions.create(
                    model=self.options.model,
                    messages=list(messages),  # type: ignore[arg-type]
                    **asdict(sampling),
                )
            except json.JSONDecodeError:  # a body that was cut short; the package tries again after all else
                time.sleep(min(0.5 * 2**attempt, 8.0) if attempt < self.options.retries else 0.0)
                continue
            except OpenAIError as error:
                raise explained(error, self.options) from None
            if isinstance(answer, ChatCompletion) and answer.choices and answer.choices[0].message:
                return _reply(answer, messages)
            break
        raise no_api(self.options)


def _reply(answer: ChatCompletion, messages: Messages) -> Reply:
    choice = answer.choices[0]
    text = choice.message.content or choice.message.refusal or ""
    used = answer.usage
    return Reply(
        text=text,
        finish="refusal" if choice.message.refusal else choice.finish_reason,
        prompt_tokens=used.prompt_tokens if used else sum(len(m["content"]) for m in messages) // CHARACTERS + 1,
        completion_tokens=used.completion_tokens if used else len(text) // CHARACTERS + 1,
    )
