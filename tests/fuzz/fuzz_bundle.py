"""Fuzzes what reads a bundle: only a `PrefModelError` may come out, and soon.

    python tests/fuzz/fuzz_bundle.py -max_total_time=60

Each input is a seed: it says what to change in a tiny bundle, whose checksums are then put right, so that the change
gets behind them. A crash is written to a file `crash-*`; the same command with that file's name runs it again. Needs
the extra `fuzz`, and Python without a debugger: atheris instruments the package.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 10.0
"""How long one bundle may take."""
TEXTS = ["Because air scatters blue light.", "ünï … [SEP] </s> \U0001f642" * 9, "a" * 300]
ODD: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    7,
    255,
    2**31 - 1,
    2**31,
    2**63,
    1e-9,
    1e308,
    "",
    "a",
    "[UNK]",
    "\ud800",
    [],
    {},
]


def main() -> None:
    import atheris

    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["prefmodel"]):
        from prefmodel.model import PreferenceModel
    from prefmodel.errors import PrefModelError
    from tests.tiny import build_bundle

    folder = build_bundle(Path(tempfile.mkdtemp(prefix="fuzz-")) / "tiny")
    names = ("prefmodel.json", "tokenizer.json", "config.json", "onnx/model.onnx", "onnx/model_int8.onnx")
    original = {name: (folder / name).read_bytes() for name in names}
    runs = dict.fromkeys(("opened", "refused"), 0)

    def one_input(data: bytes) -> None:
        if len(data) < 2:
            return
        draw = random.Random(data)
        files = dict(original)
        name = draw.choice([*names, "tokenizer.json", "onnx/model_int8.onnx", "onnx/model_int8.onnx"])
        files[name] = changed(name, files[name], data, draw)
        if name != "prefmodel.json" or data[0] & 1:
            files["prefmodel.json"] = with_checksums(files)
        for path, content in files.items():
            (folder / path).write_bytes(content)
        start = time.monotonic()
        faulthandler.dump_traceback_later(2 * SECONDS)  # tells where, before the fuzzer gives up
        try:
            model = PreferenceModel.from_pretrained(folder, threads=1)
            model.score_batch(["Why?"] * len(TEXTS), TEXTS)
            model.explain("Why?", TEXTS[0], TEXTS[1])
            runs["opened"] += 1
        except PrefModelError as error:
            text = str(error)
            runs["refused"] += 1
            if not text.isprintable():
                raise ValueError(f"not one line of text: {text!r}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        if (took := time.monotonic() - start) > SECONDS:
            raise TimeoutError(f"{name} took {took:.1f} seconds")
        if sum(runs.values()) % 1000 == 0:
            print(runs, file=sys.stderr)

    # Panics of the tokenizers library would otherwise print a stack trace each.
    os.environ["RUST_BACKTRACE"] = "0"
    atheris.Setup([sys.argv[0], "-timeout=60", "-rss_limit_mb=4096", *sys.argv[1:]], one_input)
    atheris.Fuzz()


def changed(name: str, content: bytes, data: bytes, draw: random.Random) -> bytes:
    """Return a file with changes of its bytes, its JSON values or its protobuf fields, or other content altogether."""
    if draw.random() < 0.1:
        return data
    if draw.random() < 0.3:
        return changed_bytes(content, draw)
    if name.endswith(".onnx"):
        return changed_graph(content, draw)
    value = json.loads(content)
    for _ in range(draw.choice([1, 1, 2, 4])):
        change_json(value, draw)
    return json.dumps(value).encode("utf-8", "replace")


def changed_bytes(content: bytes, draw: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        at = draw.randrange(len(out) + 1)
        step = draw.randrange(4)
        if step == 0:
            out[at : at + 1] = bytes([draw.randrange(256)])
        elif step == 1:
            out[at:at] = draw.randbytes(draw.randrange(1, 9))
        elif step == 2:
            del out[at : at + draw.randrange(1, 99)]
        else:
            source = draw.randrange(len(out) + 1)
            out[at:at] = out[source : source + draw.randrange(1, 99)]
    return bytes(out)


def change_json(value: Any, draw: random.Random) -> None:
    """Replace, remove or copy one value anywhere in a JSON object."""
    places = [(value, key) for key in value]
    for holder, key in places:  # grows while it is read
        inner = holder[key]
        if isinstance(inner, dict | list) and len(inner) < 500:
            places += [(inner, k) for k in (inner if isinstance(inner, dict) else range(len(inner)))]
    if not places:
        return
    holder, key = draw.choice(places)
    other_holder, other_key = draw.choice(places)
    step = draw.randrange(5)
    if step == 0:
        del holder[key]
    elif step == 1 and isinstance(holder, list):
        holder.append(deepcopy(other_holder[other_key]))
    elif step == 2:
        holder[key] = deepcopy(other_holder[other_key])
    elif step == 3:
        holder[key] = deepcopy(draw.choice(PARTS))
    else:
        holder[key] = deepcopy(draw.choice(ODD))


PARTS: list[Any] = [
    {"type": kind, **settings}
    for kind in (
        *("BertNormalizer", "ByteLevel", "Precompiled", "Prepend", "Replace", "Strip", "StripAccents", "NFKD", "Nmt"),
        *("CharDelimiterSplit", "Digits", "Metaspace", "Punctuation", "Split", "UnicodeScripts", "WhitespaceSplit"),
        *("BertProcessing", "RobertaProcessing", "WordLevel", "BPE", "Unigram", "WordPiece", "Fuse", "ByteFallback"),
    )
    for settings in (
        {},
        {"precompiled_charsmap": "AAQAAAAAAAAAAAAAYWFhAGIA"},
        {"precompiled_charsmap": "EAAAAP////8AAAAA/wAAAP8AAABhAGIA"},
        {"pattern": {"String": ""}, "content": "ab", "behavior": "Isolated", "invert": False},
        {"pattern": {"Regex": " {2,}"}, "content": "", "behavior": "MergedWithNext", "invert": True},
        {"replacement": "▁", "prepend_scheme": "always", "split": True, "add_prefix_space": True, "prepend": "▁"},
        {"sep": ["[SEP]", 3], "cls": ["[CLS]", 4294967295], "trim_offsets": True, "add_prefix_space": True},
        {"vocab": {"a": 0, "b": 4294967295, "[UNK]": 1}, "merges": [["a", "b"]], "unk_token": "[UNK]"},
        {"vocab": [["a", -1.0], ["", 0.0], ["▁a", 1e308]], "unk_id": 1, "byte_fallback": True},
        {
            "individual_digits": True,
            "behavior": "Contiguous",
            "delimiter": "a",
            "strip_left": True,
            "strip_right": True,
        },
        {"add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    )
]


NUMBERS = [0, 1, 2, -1, -2, 3, 7, 8, 100, -100, 2**31 - 1, -(2**31), 2**62, -(2**63), 10**6]


def changed_graph(content: bytes, draw: random.Random) -> bytes:
    """Return a graph, still one of ONNX, with one to four changes; half of them are new operators."""
    import onnx

    from prefmodel.graph import OPERATORS

    model = onnx.ModelProto.FromString(content)
    nodes, constants = model.graph.node, model.graph.initializer
    names = [name for node in nodes for name in (*node.input, *node.output)] + [c.name for c in constants] + [""]
    for _ in range(draw.choice([1, 1, 2, 4])):
        node, constant = draw.choice(nodes), draw.choice(constants)
        step = draw.randrange(18)
        if step == 0 and node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(names)
        elif step == 1:
            (node.input if draw.random() < 0.7 else node.output).append(draw.choice(names))
        elif step == 2:
            domain = draw.choice(list(OPERATORS))
            node.domain, node.op_type = domain, draw.choice(sorted(OPERATORS[domain]))
        elif step == 3:
            node.attribute.extend(attributes(node.op_type, draw))
        elif step == 4:
            constant.CopyFrom(tensor(constant.name, draw))
        elif step == 5 and constant.raw_data:
            constant.raw_data = bytes(draw.choice([0, 1, 127, 128, 255]) for _ in constant.raw_data)
        elif step == 6 and constant.dims:
            constant.dims[draw.randrange(len(constant.dims))] = draw.choice(NUMBERS)
        elif step == 7:
            value = draw.choice([*model.graph.input, *model.graph.output])
            value.type.tensor_type.shape.dim[draw.randrange(2)].dim_value = draw.choice(NUMBERS)
        elif step == 8:
            model.opset_import[0].version = draw.choice([*range(5, 27), -1, 2**40])
        elif step == 9 and len(nodes) > 1:
            del nodes[draw.randrange(len(nodes))]
        else:
            insert_operator(model, draw)
    return bytes(model.SerializeToString())


def insert_operator(model: Any, draw: random.Random) -> None:
    """Let a new operator, of any inputs and attributes, add to something that the score depends on."""
    from onnx import TensorProto, defs, helper

    from prefmodel.graph import OPERATORS

    nodes, number = model.graph.node, len(model.graph.initializer)
    place = draw.randrange(1, len(nodes))
    earlier = [name for node in nodes[:place] for name in (*node.input, *node.output)]
    operator = draw.choice(sorted(OPERATORS[""]))
    schema = defs.get_schema(operator)
    inputs = []
    for i in range(draw.randint(schema.min_input, min(schema.max_input, 4))):
        fresh = tensor(f"fresh{number}_{i}", draw)
        inputs.append(draw.choice([draw.choice(earlier), fresh.name]) if draw.random() < 0.98 else "")
        if inputs[-1] == fresh.name:
            model.graph.initializer.append(fresh)
    new, cast, total = (f"{name}{number}_{place}" for name in ("new", "cast", "total"))
    made = helper.make_node(operator, inputs, [new, *([f"second{number}"] if draw.random() < 0.1 else [])])
    made.attribute.extend(attributes(operator, draw))
    later = [node for node in nodes[place:] if node.output and node.output[0] not in ("logits", "")]
    if not later:
        return
    target = draw.choice(later)
    old, target.output[0] = target.output[0], f"before{number}_{place}"
    more = [
        helper.make_node("Cast", [new], [cast], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", [cast], [total], keepdims=0),
    ]
    after = [helper.make_node("Add", [target.output[0], total], [old])]
    at = list(nodes).index(target) + 1
    whole = [*nodes[:place], made, *more, *nodes[place:at], *after, *nodes[at:]]
    copies = [type(node).FromString(node.SerializeToString()) for node in whole]
    del nodes[:]
    nodes.extend(copies)


def attributes(operator: str, draw: random.Random) -> list[Any]:
    """Return attributes of an operator, of their types; now and then one is of another."""
    from onnx import defs, helper

    found = []
    known = defs.get_schema(operator).attributes if operator in {s.name for s in defs.get_all_schemas()} else {}
    for name in [*known, *(["N", "K", "bits", "block_size"] if operator == "MatMulNBits" else [])]:
        kind = str(known[name].type).rpartition(".")[2] if name in known and draw.random() < 0.95 else "INT"
        if draw.random() < 0.5 and not (name in known and known[name].required):
            continue
        few = draw.choice([-3, -2, -1, 0, 1, 1, 2, 3, draw.choice(NUMBERS)])
        values = {
            "INT": few,
            "FLOAT": draw.choice([0.0, 1.0, -1.0, 1e-9, 3e38]),
            "STRING": draw.choice(["none", "tanh", ""]),
        }
        values["INTS"] = draw.choice([[0], [1], [0, 1], [1, 0], [2, 1, 0], [few], [few, few]])
        if kind in values:
            found.append(helper.make_attribute(name, values[kind]))
    return found


def tensor(name: str, draw: random.Random) -> Any:
    """Return a small tensor of any shape and type that fits its bytes."""
    import onnx

    dims = [draw.choice([0, 1, 1, 2, 3, 8]) for _ in range(draw.choice([0, 1, 1, 2, 3, 4]))]
    kind = draw.choice([1, 1, 1, 2, 3, 6, 7, 7, 7, 9, 10, 11])
    size = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}[kind]
    count = 1
    for dim in dims:
        count *= dim
    small = b"".join(draw.choice([0, 1, 2, 2**size - 1]).to_bytes(size, "little") for _ in range(count))
    content = draw.choice([bytes(size * count), draw.randbytes(size * count), b"\xff" * (size * count), small, small])
    return onnx.TensorProto(name=name, dims=dims, data_type=kind, raw_data=content)


def with_checksums(files: dict[str, bytes]) -> bytes:
    """Return the manifest, as far as it is one, with the checksums of the files."""
    from hashlib import sha256

    try:
        manifest = json.loads(files["prefmodel.json"])
        for name, entry in manifest["files"].items():
            entry.update(sha256=sha256(files[name]).hexdigest(), bytes=len(files[name]))
        return json.dumps(manifest).encode()
    except (ValueError, LookupError, TypeError, AttributeError):
        return files["prefmodel.json"]


if __name__ == "__main__":
    main()
