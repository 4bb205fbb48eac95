from itertools import cycle, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import InputError
from prefmodel.types import Message
from tests.tiny import ENCODING, tiny_tokenizer, unigram_tokenizer

TINY, UNIGRAM = tiny_tokenizer(), unigram_tokenizer()
ENCODER = PairEncoder(TINY, ENCODING)
UNIGRAM_ENCODER = PairEncoder(UNIGRAM, ENCODING)
MARK = TINY.token_to_id("…")

nasty = st.sampled_from(
    ["[SEP]", "[CLS]", "[PAD]", "</s>", "<s>", "<pad>", "<unk>", "\0", "\ud800", "▁</s>", "…", "\n"]
)
texts = st.lists(nasty | st.text(st.characters(), max_size=30), max_size=12).map("".join)
"""Any text: `st.characters()` has lone surrogates and NUL too."""

messages = st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), texts)
asked = texts | st.lists(messages, min_size=1, max_size=5).map(tuple)


def known(count: int) -> str:
    """Return a text of so many tokens, all of them words of the tiny vocabulary."""
    return " ".join(islice(cycle(["why", "is", "the", "sky", "blue", "because", "air", "scatters", "light"]), count))


def tokens(text: str) -> list[str]:
    return text.split()


def body(encoding) -> list[str]:
    return [TINY.id_to_token(i) for i in encoding.ids]


@given(asked, texts)
def test_tiny_never_too_long_and_no_special_tokens(question, answer):
    encoding = ENCODER.encode(question, answer)
    assert len(encoding) <= ENCODING.max_tokens
    assert len(encoding.type_ids) == len(encoding)
    assert [i for i in encoding.ids if i in (0, 2, 3)] == [2, 3, 3]
    assert encoding.ids[0] == 2
    assert encoding.ids[-1] == 3


@given(asked, texts)
def test_unigram_never_too_long_and_no_special_tokens(question, answer):
    encoding = UNIGRAM_ENCODER.encode(question, answer)
    assert len(encoding) <= ENCODING.max_tokens
    assert [i for i in encoding.ids if i in (0, 1, 2)] == [0, 2, 2, 2]
    assert encoding.ids[0] == 0
    assert encoding.ids[-1] == 2


def test_the_unigram_vocabulary_is_as_nasty_as_it_should_be():
    """Without care, the tokenizer gives the end token for a text of a user."""
    plain = unigram_tokenizer()
    plain.encode_special_tokens = True
    assert 2 in plain.encode("a</s>b", add_special_tokens=False).ids


def test_a_special_token_of_one_character_is_left_out():
    """Such a token cannot be spelled out in parts."""
    tokenizer = Tokenizer(
        models.Unigram([("<unk>", 0.0), ("¶", -1.0), ("a", -1.0), ("…", -1.0), ("\n", -1.0)], unk_id=0)
    )
    tokenizer.add_special_tokens(["<unk>", "¶"])
    encoder = PairEncoder(tokenizer, ENCODING)
    assert encoder.encode("a¶a", "¶").ids == encoder.encode("aa", "").ids


@given(st.integers(0, 100), st.integers(0, 100))
def test_budget_and_counts(question_length, answer_length):
    encoding = ENCODER.encode(known(question_length), known(answer_length))
    special = 3
    kept_question = min(question_length, ENCODING.question_tokens)
    room = ENCODING.max_tokens - special - kept_question
    assert len(encoding) == special + kept_question + min(answer_length, room)
    # The mark takes the place of one token more than those that did not fit.
    assert encoding.question_cut == (question_length - 16 + 1 if question_length > 16 else 0)
    assert encoding.answer_cut == (answer_length - room + 1 if answer_length > room else 0)
    assert encoding.ids.count(MARK) == (encoding.question_cut > 0) + (encoding.answer_cut > 0)


@given(texts, texts, st.sampled_from(["system", "user", "assistant"]))
def test_one_message_is_a_plain_question(question, answer, role):
    assert ENCODER.encode((Message(role, question),), answer) == ENCODER.encode(question, answer)


def test_golden_ids():
    encoding = ENCODER.encode("Why is the sky blue?", "Because air scatters blue light.")
    assert body(encoding)[:8] == ["[CLS]", "why", "is", "the", "sky", "blue", "?", "[SEP]"]
    assert encoding.ids == [2, 5, 6, 7, 8, 9, 72, 3, 10, 11, 12, 9, 13, 65, 3]
    assert encoding.type_ids == [0] * 8 + [1] * 7


def test_golden_ids_of_a_dialogue():
    turns = (Message("user", "Why?"), Message("assistant", "Air."), Message("user", "Air?"))
    encoding = ENCODER.encode(turns, "Light.")
    assert body(encoding) == tokens("[CLS] user : why ? assistant : air . user : air ? [SEP] light . [SEP]")


def test_golden_ids_of_a_cut():
    encoding = PairEncoder(TINY, EncodingConfig(24, 8)).encode(known(9), known(20))
    question, answer = (
        "why is the sky blue … scatters light",
        "why is the sky blue because air scatters … scatters light why is",
    )
    assert body(encoding) == tokens(f"[CLS] {question} [SEP] {answer} [SEP]")
    assert encoding.question_cut == 2
    assert encoding.answer_cut == 8


def test_typed_special_tokens_are_text():
    assert body(ENCODER.encode("why [SEP] sky", "blue")) == tokens("[CLS] why [ s ##e ##p ] sky [SEP] blue [SEP]")


def test_a_dialogue_keeps_its_last_turns():
    turns = tuple(Message("user", f"{word} {known(5)}") for word in ("air", "light", "blue"))
    encoding = ENCODER.encode(turns, "sky")
    # 8 tokens a turn: with the mark, one whole turn fits into 16.
    assert body(encoding) == tokens(f"[CLS] … user : blue {known(5)} [SEP] sky [SEP]")
    assert encoding.question_cut == 16


def test_the_turns_that_are_kept_stand_in_order():
    words = ["why", "is", "the", "sky", "blue", "because", "air"]
    encoding = ENCODER.encode(tuple(Message("user", word) for word in words), "light")
    kept = " ".join(f"user : {word}" for word in words[2:])
    assert body(encoding) == tokens(f"[CLS] … {kept} [SEP] light [SEP]")
    assert encoding.question_cut == 6


def test_a_last_turn_that_is_too_long_keeps_both_ends():
    turns = (Message("user", "sky"), Message("user", "air " + known(40) + " blue"))
    encoding = ENCODER.encode(turns, "sky")
    question = body(encoding)[1:17]
    assert question[:4] == ["…", "user", ":", "air"]
    assert question[-1] == "blue"
    assert question.count("…") == 2
    assert encoding.question_cut == 3 + 44 - 14
    assert len(encoding) == 1 + 16 + 1 + 1 + 1


def test_a_batch_is_its_members():
    questions, answers = ["why", (Message("user", "sky"),), "why"], ["air", "blue light", "light"]
    single = [ENCODER.encode(q, a) for q, a in zip(questions, answers, strict=True)]
    assert ENCODER.encode_batch(questions, answers) == single
    assert ENCODER.encode_batch([], []) == []


def test_padding():
    batch = ENCODER.pad([ENCODER.encode("why", "air"), ENCODER.encode("why", "air scatters light")])
    assert batch["input_ids"].tolist() == [[2, 5, 3, 11, 3, 0, 0], [2, 5, 3, 11, 12, 13, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]]
    assert all(array.dtype == np.int64 for array in batch.values())


def test_a_tokenizer_without_a_template():
    vocab = {word: i for i, word in enumerate(["<unk>", "why", "because", "\n\n", "…", "</s>"])}
    tokenizer = Tokenizer(models.WordLevel(vocab, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    encoder = PairEncoder(tokenizer, EncodingConfig(16, 4))
    assert encoder.encode("why", "because").ids == [1, 5, 2]
    assert encoder.encode("why \n\n", "because \n\n </s>").ids == [1, 3, 5, 2, 3, 0, 0, 0, 0]


def test_the_tokenizer_is_not_changed():
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(5)
    before = tokenizer.to_str()
    assert len(PairEncoder(tokenizer, ENCODING).encode(known(9), known(9)).ids) == 21
    assert tokenizer.to_str() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 15}, "max_tokens is 15; allowed: 16 to"),
        ({"question_tokens": 3}, "question_tokens is 3; allowed: 4 to"),
        ({"max_tokens": 64, "question_tokens": 53}, "question_tokens is 53; allowed: 4 to"),
        ({"head_share": -0.1}, "head_share is -0.1; allowed: 0 to 1"),
    ],
)
def test_config_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        EncodingConfig(**options)


def test_a_mark_that_is_too_long():
    with pytest.raises(InputError, match="mark is"):
        PairEncoder(TINY, EncodingConfig(64, 4, mark="… … …"))


@given(asked, texts, st.sampled_from(["", "…", "… …"]), st.sampled_from([0.0, 0.5, 1.0]))
def test_smallest_lengths(question, answer, mark, share):
    encoder = PairEncoder(TINY, EncodingConfig(16, 4, share, mark))
    assert len(encoder.encode(question, answer)) <= 16


@pytest.mark.parametrize("answer", [None, 5, b"text"])
def test_an_answer_that_is_no_text(answer):
    with pytest.raises(InputError, match="allowed: text"):
        ENCODER.encode("why", answer)


def test_unequal_numbers():
    with pytest.raises(InputError, match="2 questions and 1 answers"):
        ENCODER.encode_batch(["a", "b"], ["c"])
