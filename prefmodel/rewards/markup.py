"""Text with chat markup, as trainers decode it with special tokens, taken apart again."""

from __future__ import annotations

import re

from prefmodel.errors import InputError, shown
from prefmodel.types import Message, Question

_DEEPSEEK = r"<｜(User|Assistant)｜>"
# What opens a turn in the formats of ChatML (Qwen), Llama 3, Gemma, Phi and Zephyr, DeepSeek, and Mistral.
_FORMATS = (
    r"<\|im_start\|>(\w{1,20})\n",
    r"<\|start_header_id\|>(\w{1,20})<\|end_header_id\|>",
    r"<start_of_turn>(\w{1,20})\n",
    r"<\|(system|user|assistant|tool)\|>\n?",
    _DEEPSEEK,
    r"(\[SYSTEM_PROMPT\]|\[/?INST\])",
)
_ROLES = {"[system_prompt]": "system", "[inst]": "user", "[/inst]": "assistant", "model": "assistant"}
_ROLES |= {"developer": "system"} | {role: role for role in ("system", "user", "assistant")}

_MARK = re.compile(
    r"<\|[\w▁]{1,40}\|>|<｜[\w▁ ]{1,40}｜>|</?s>|<(?:bos|eos|pad)>|\[PAD\]|<(?:start|end)_of_turn>|\[/?INST\]"
    r"|\[/?SYSTEM_PROMPT\]"
)
_THINKING = ("<think>", "<think></think>")
_TAIL = 64  # characters; the shorter end of a prompt could stand in a query by chance


def bare(text: str) -> str:
    """Return a text without special tokens and white space at its ends; those inside may be what it is about.

    >>> bare("<s> The token </s> ends it.<|im_end|>\\n<|endoftext|>")
    'The token </s> ends it.'
    """
    marks = list(_MARK.finditer(text))  # the servers' texts come from outside: every step here is linear in them
    start, end = _before(text), len(text)
    for mark in reversed(marks):
        if mark.start() < start or text[mark.end() : end].strip():
            break
        end = mark.start()
    return text[start:end].strip()


def answer_after(prompt: str, query: str, name: str) -> str:
    """Return what follows the prompt in a query that was decoded with special tokens, without those around it.

    Decoding may put a token before the prompt and white space around special tokens, and a prompt that was too long
    may have lost its beginning.

    Args:
        prompt: the prompt as it was given to the policy.
        query: prompt and answer, decoded.
        name: what an error text calls the query.

    Raises:
        InputError: the query does not begin with the prompt.

    Example:
        >>> prompt = "<|im_start|>user\\nWhy?<|im_end|>\\n<|im_start|>assistant\\n"
        >>> answer_after(prompt, prompt + "Because.<|im_end|>", "query")
        'Because.'
        >>> answer_after("[INST] Why? [/INST]", "<s> [INST] Why?  [/INST] Because.</s>", "query")
        'Because.'
    """
    for text in (query, query[_before(query) :]):
        for wanted in (prompt, prompt[_before(prompt) :]):
            end = _end_of(wanted, text)
            if end is not None:
                return bare(text[end:])
    tail = prompt[-_TAIL:]
    end = query.find(tail) + len(tail)
    if tail in query and prompt.endswith(query[:end]):
        return bare(query[end:])
    raise InputError(f"{name} is {shown(query)}; allowed: text that begins with its prompt, {shown(prompt)}")


def _before(text: str) -> int:
    """Return where a text begins behind special tokens that open it."""
    start = 0
    for mark in _MARK.finditer(text):
        if text[start : mark.start()].strip():
            break
        start = mark.end()
    return start


def question_in(prompt: str) -> Question:
    """Return the dialogue that a prompt with chat markup holds; a prompt without any is the question as it stands.

    The turn that is left open for the answer is dropped. The format is that of the first turn, with which the prompt
    begins; markup of others, and markup in the midst of text, is what the text is about.

    >>> question_in("<start_of_turn>user\\nWhy?<end_of_turn>\\n<start_of_turn>model\\n")
    (Message(role='user', content='Why?'),)
    >>> question_in("<s>Why?")
    'Why?'
    >>> question_in("What does [INST] mean?")
    'What does [INST] mean?'
    """
    found = [(first.start(), form) for form in _FORMATS if (first := re.search(form, prompt))]
    if not found:
        return bare(prompt)
    start, form = min(found)
    before, openings = prompt[:start], list(re.finditer(form, prompt))
    # DeepSeek's system text stands before the first turn; its last turn is the one that is open for the answer.
    if bare(before) and not (form == _DEEPSEEK and openings[-1][1] == "Assistant"):
        return bare(prompt)
    turns = [("system", before)]
    ends = [*(match.start() for match in openings[1:]), len(prompt)]
    for match, end in zip(openings, ends, strict=True):
        turns.append((_ROLES.get(match[1].lower(), "tool"), prompt[match.end() : end]))
    cleaned = [(role, bare(text)) for role, text in turns]
    if cleaned[-1][0] == "assistant" and "".join(cleaned[-1][1].split()) in _THINKING:
        cleaned.pop()
    return tuple(Message(role, text) for role, text in cleaned if text)


def _end_of(prefix: str, text: str) -> int | None:
    """Return where `prefix` ends in a text that begins with it, white space aside, or None."""
    position = 0
    for character in prefix:
        if character.isspace():
            continue
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text) or text[position] != character:
            return None
        position += 1
    return position
