"""What goes wrong between us and a language model, each as an error of one line that names the option to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefmodel.errors import InputError, PrefModelError, one_line, shown

if TYPE_CHECKING:
    from openai import OpenAIError

    from axioms.llm.client import LLMOptions


class EndpointError(PrefModelError):
    """The endpoint gives no answer, though it was asked several times; what it answered before is in the cache."""


class BudgetSpent(PrefModelError):
    """The tokens that may be spent are spent; what was answered is in the cache."""


class Unanswered(Exception):
    """The endpoint refuses to answer this one prompt; `reason` is a short word for the report."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def budget_spent(options: LLMOptions, tokens: int) -> BudgetSpent:
    """Return the error that says that `tokens` tokens are all that this process may spend."""
    whose = f" by one of {options.processes} workers" if options.processes > 1 else ""
    return BudgetSpent(
        f"--llm-budget is {options.budget}: {tokens} tokens are spent{whose}; repeat the command to spend as many "
        f"again, or with a larger one: it goes on from the answers in {options.cache}"
    )


def no_api(options: LLMOptions) -> InputError:
    """Return the error that says that the endpoint answers, but not as a chat-completions API does."""
    return InputError(
        f"--llm-url is {shown(options.url)}, which speaks no chat-completions API; "
        "allowed: the address of one, such as http://127.0.0.1:8000/v1"
    )


def explained(error: OpenAIError, options: LLMOptions) -> Exception:
    """Return what a user can act on in place of an error of the openai package.

    Returns:
        An `InputError` where an option is wrong, `Unanswered` where one prompt is refused, else an `EndpointError`.
    """
    import openai

    said = one_line(_message(error), 200)
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        why = "was refused" if options.key else "is not set, and the endpoint wants one"
        return InputError(f"--llm-key-env is {shown(options.key_env)}: the key in it {why}: {said}")
    if isinstance(error, openai.NotFoundError | openai.BadRequestError | openai.UnprocessableEntityError):
        code = str(error.code or "")
        if code in ("content_filter", "context_length_exceeded"):
            return Unanswered(code.replace("_", " "))
        if "model" in code or "model" in said.lower():
            return InputError(f"--llm-model is {shown(options.model)}: {said}")
        if isinstance(error, openai.NotFoundError):
            return no_api(options)
        return InputError(f"--llm-url is {shown(options.url)}: it refuses a request: {said}")
    tries = f"after {options.retries + 1} tries" if options.retries else "at once"
    go_on = f"the answers so far are in {options.cache}: repeat the command to go on"
    return EndpointError(f"--llm-url is {shown(options.url)}: {said}, {tries}; {go_on}")


def _message(error: OpenAIError) -> str:
    """Return what the endpoint says, or what kept it from saying anything."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and body.get("message"):
        return str(body["message"])
    cause = error.__cause__  # "Connection error." alone does not say which
    return f"{str(error).rstrip('.')}: {one_line(cause)}" if cause is not None and str(cause) else str(error)
