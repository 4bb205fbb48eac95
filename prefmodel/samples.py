"""The question and the answer in what trainers pass: plain text, or lists of messages with tool calls and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefmodel.arguments import as_list
from prefmodel.errors import InputError, shown
from prefmodel.types import Message, Question

# Names that chat formats have for our roles.
_ROLES = {"developer": "system", "model": "assistant", "function": "tool", "ipython": "tool"}


def question_of(prompt: object, name: str) -> Question:
    """Return a prompt (text, or messages) as a question.

    Messages without text, as assistants' tool calls are, are left out: the model reads text only. Of content in blocks
    the text blocks are kept.

    Args:
        prompt: text, or a list of dicts with role and content.
        name: what an error text calls it.

    Raises:
        InputError: it is neither, or there is no text in it.

    Example:
        >>> question_of([{"role": "user", "content": [{"type": "text", "text": "Why?"}]}], "prompt")
        (Message(role='user', content='Why?'),)
    """
    if isinstance(prompt, str):
        if prompt.strip():
            return prompt
        raise InputError(f"{name} is {shown(prompt)}; allowed: non-empty text, or messages with role and content")
    turns = _messages(prompt, name)
    kept = tuple(Message(role, text) for role, text in turns if text.strip())
    if not kept:
        raise InputError(f"{name} is {shown(prompt)}; allowed: messages of which one has text")
    return kept


def answer_of(completion: object, name: str) -> str:
    """Return a completion's answer: its text, or the text of its last message if that is the assistant's.

    A completion that ends with a tool call or a tool's result gives the user nothing to read: its answer is "".

    Args:
        completion: text, or a list of dicts with role and content.
        name: what an error text calls it.

    Raises:
        InputError: it is neither.

    Example:
        >>> call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look_up"}}]}
        >>> answer_of([call, {"role": "tool", "content": "Paris"}, {"role": "assistant", "content": "Paris."}], "c")
        'Paris.'
        >>> answer_of([call], "c")
        ''
    """
    if isinstance(completion, str):
        return completion
    turns = _messages(completion, name)
    role, text = turns[-1] if turns else ("assistant", "")
    return text if role == "assistant" else ""


def _messages(value: object, name: str) -> list[tuple[str, str]]:
    """Return (role, text) of every message; the text is "" where the content is none."""
    messages = as_list(value)
    if messages is None:
        raise InputError(f"{name} is {shown(value)}; allowed: text, or a list of messages with role and content")
    return [_message(message, f"{name}[{i}]") for i, message in enumerate(messages)]


def _message(message: object, name: str) -> tuple[str, str]:
    if isinstance(message, Message):
        return message.role, message.content
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(message, Mapping) or not isinstance(role, str):
        raise InputError(f"{name} is {shown(message)}; allowed: a message with role and content")
    role = _ROLES.get(role, role)
    Message(role, "")  # which knows the roles
    return role, _text(message.get("content"), f"{name}.content")


def _text(content: Any, name: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    blocks = as_list(content)
    if blocks is None or not all(isinstance(block, Mapping) for block in blocks):
        raise InputError(f"{name} is {shown(content)}; allowed: text, a list of blocks, or none")
    return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


def same_number(a: Sequence[Any], b: Sequence[Any], names: str) -> None:
    """Raise InputError if two lists, called by `names` ("prompts and completions"), differ in length."""
    if len(a) != len(b):
        raise InputError(f"there are {len(a)} and {len(b)} {names}; allowed: equally many")
