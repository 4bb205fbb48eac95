"""Texts of a megabyte: scored whole, with exact counts of what was cut, in memory that is bounded."""

import math
import subprocess
import sys

import pytest

from prefmodel.encoding import EncodingConfig, PairEncoder
from tests.command import GOOD, QUESTION
from tests.test_robust_text import ENCODERS
from tests.tiny import tiny_tokenizer

MEGABYTE = 1_000_000
LARGE = {
    "one word": "a" * MEGABYTE,
    "words": "a " * (MEGABYTE // 2),
    "spaces": " " * (MEGABYTE - 1) + "a",
    "emoji": "😀" * (MEGABYTE // 4),
    "combining marks": "e" + "\u0301" * (MEGABYTE // 2),
    "one Chinese character": "中" * (MEGABYTE // 3),
    "[SEP]": "[SEP]" * (MEGABYTE // 5),
    "</s>": "</s>" * (MEGABYTE // 4),
    "nothing": "\u200b" * (MEGABYTE // 3),
}
"""Of about a megabyte in UTF-8."""


@pytest.mark.parametrize("name", LARGE)
def test_a_megabyte(model, name):
    scores = model.score_batch([QUESTION, LARGE[name]], [LARGE[name], GOOD])
    assert all(map(math.isfinite, scores.scores))
    assert scores.answer_cut[1] == scores.question_cut[0] == 0


def test_counts_of_a_megabyte_are_exact():
    encoding = PairEncoder(tiny_tokenizer(), EncodingConfig(64, 16)).encode("why " * 250_000, "[SEP]" * 200_000)
    assert encoding.question_cut == 250_000 - 15
    assert encoding.answer_cut == 200_000 * 5 - (64 - 3 - 16 - 1)  # [, s, ##e, ##p, ]


def test_many_tokens_are_spelled_out():
    encoder = ENCODERS["unigram"]
    assert encoder.encode("a", "</s>" * 50_000).answer_cut > 150_000


def test_many_large_texts_take_the_memory_of_few():
    """With less tokenised together, so that the test is quick. The tokens of all at once take another 200 MB."""
    code = (
        "import resource, prefmodel.encoding as encoding\n"
        "from tests.tiny import ENCODING, tiny_tokenizer\n"
        "encoding.CHUNK_CHARS = 100_000\n"
        "encoder = encoding.PairEncoder(tiny_tokenizer(), ENCODING)\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "encoder.encode('why', '.' * 100_000); before = peak()\n"
        "encodings = encoder.encode_batch(['why'] * 25, ['.' * 100_000] * 25)\n"
        "print(sum(e.answer_cut for e in encodings), peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cut, grown = map(int, done.stdout.split())
    assert cut == 25 * (100_000 - 59)
    assert grown * (1 if sys.platform == "darwin" else 1024) < 60e6
