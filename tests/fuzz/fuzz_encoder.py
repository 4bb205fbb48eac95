"""Fuzzes the encoder: mutated texts, each checked for what tests/test_robust_text.py says of every text."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random


def main() -> None:
    """Run until libFuzzer's options in `sys.argv` say to stop; a text that breaks a promise ends it with an error."""
    import atheris

    with atheris.instrument_imports(include=["prefmodel"]):
        from prefmodel.arguments import one_question, one_text
        from prefmodel.errors import InputError
        from prefmodel.types import ROLES, Message
        from tests.test_robust_text import CONTROL, ENCODERS, ODD, parted, wide

    encoders, roles = list(ENCODERS.values()), list(ROLES)
    pieces = [*CONTROL, *map(str.lower, CONTROL), *map(wide, CONTROL), *ODD, *(f"{role}: " for role in ROLES)]

    def text(data: atheris.FuzzedDataProvider) -> str:
        parts = []
        for _ in range(data.ConsumeIntInRange(0, 12)):
            if data.ConsumeBool():
                parts.append(data.PickValueInList(pieces) * data.ConsumeIntInRange(1, 9))
            else:
                parts.append(data.ConsumeUnicode(data.ConsumeIntInRange(0, 40)))  # lone surrogates too
        return "".join(parts)

    def one_input(content: bytes) -> None:
        data = atheris.FuzzedDataProvider(content)
        encoder = data.PickValueInList(encoders)
        first, answer, more = text(data), text(data), data.ConsumeIntInRange(0, 3)
        turns = [Message(data.PickValueInList(roles), text(data)) for _ in range(more)]
        question = (Message("user", first), *turns) if turns else first
        encoding = encoder.encode(question, answer)
        asked, answered = parted(encoder, encoding.ids)
        assert len(encoding.type_ids) == len(encoding) <= encoder.config.max_tokens
        assert len(asked) <= encoder.config.question_tokens
        assert parted(encoder, encoder.encode(question, "why").ids)[0] == asked
        if not encoding.answer_cut:
            assert parted(encoder, encoder.encode("", answer).ids) == ([], answered)
        for check, value in ((one_text, answer), (one_question, question)):
            try:
                check(value, "value")
            except InputError as error:
                if not str(error).isprintable():
                    raise

    # Long inputs to begin with: what they reach lies in the tokenizer, where the fuzzer does not see what is new.
    seeds = Path(tempfile.mkdtemp(prefix="prefmodel-fuzz-"))
    for number in range(50):
        (seeds / str(number)).write_bytes(Random(number).randbytes(1000))
    atheris.Setup([*sys.argv, "-reduce_inputs=0", str(seeds)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
