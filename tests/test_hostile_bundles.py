"""Bundles of a stranger who means harm: each is refused with one line, in Python and on the command line."""

from __future__ import annotations

import os
import re

import pytest

from tests.hostile import FILES, GRAPH, HUGE, ROOT, contents, script, with_manifest

# Names and files


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/passwd", "onnx/../../evil", "..\\evil", "C:\\evil", "C:evil", "\\\\host\\share", "~/evil"),
        *("CON", "onnx/NUL", "evil\n", "evil\x1b[2J", "a\x00b", "", ".", "./config.json", "onnx//model.onnx"),
        *("Config.json", "config.json ", "weights.bin", "README.md", "evil.py", "a" * 5000),
    ],
)
def test_name_in_the_manifest(copied_bundle, refused, name):
    entry = {"sha256": "0" * 64, "bytes": 1}
    refused(with_manifest(copied_bundle, lambda m: m["files"].update({name: entry})), "prefmodel.json: ")


@pytest.mark.parametrize("name", ["prefmodel.json", *FILES])
def test_link_to_a_file_outside(copied_bundle, tmp_path, refused, name):
    (copied_bundle / name).rename(tmp_path / "out\nside")
    (copied_bundle / name).symlink_to(tmp_path / "out\nside")
    refused(copied_bundle, f"{name}: is a link to", "allowed: a file inside the bundle")


def test_link_to_a_folder_outside(copied_bundle, tmp_path, refused):
    (copied_bundle / "onnx").rename(tmp_path / "onnx")
    (copied_bundle / "onnx").symlink_to("../onnx")
    refused(copied_bundle, "is a link to")


def test_link_that_looks_like_the_cache_of_the_hub(copied_bundle, tmp_path, refused):
    """Links from `snapshots` to `blobs` are allowed; not when `blobs` is itself a link to elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (copied_bundle / "tokenizer.json").rename(tmp_path / "elsewhere" / "secret")
    folder = tmp_path / "hub" / "snapshots" / "1"
    folder.parent.mkdir(parents=True)
    copied_bundle.rename(folder)
    (tmp_path / "hub" / "blobs").symlink_to(tmp_path / "elsewhere")
    (folder / "tokenizer.json").symlink_to("../../blobs/secret")
    refused(folder, "tokenizer.json: is a link to")


def test_links_in_a_circle(copied_bundle, refused):
    (copied_bundle / "config.json").unlink()
    (copied_bundle / "config.json").symlink_to("config.json")
    refused(copied_bundle, "config.json: ")


@pytest.mark.parametrize("name", ["prefmodel.json", *FILES])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_no_regular_file(copied_bundle, refused, name, kind):
    path = copied_bundle / name
    path.unlink()
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "device": lambda: path.symlink_to("/dev/zero")}[kind]()
    refused(copied_bundle, f"{name}: is ")


@pytest.mark.parametrize("name", FILES)
def test_missing_file(copied_bundle, refused, name):
    (copied_bundle / name).unlink()
    refused(copied_bundle, f"{name}: no such file")


@pytest.mark.parametrize("name", FILES)
def test_changed_byte(copied_bundle, refused, name):
    content = bytearray((copied_bundle / name).read_bytes())
    content[len(content) // 3] ^= 4
    (copied_bundle / name).write_bytes(content)
    refused(copied_bundle, f"{name}: damaged, sha256")


@pytest.mark.parametrize("name", FILES)
def test_cut_file(copied_bundle, refused, name):
    (copied_bundle / name).write_bytes((copied_bundle / name).read_bytes()[:-1])
    refused(copied_bundle, f"{name}: damaged", "bytes, not")


def test_file_larger_than_the_manifest_says_is_not_read(copied_bundle, refused):
    os.truncate(copied_bundle / GRAPH, HUGE)  # a file with a hole: reading it would take an hour
    refused(copied_bundle, f"{HUGE} bytes, not")


@pytest.mark.parametrize("name", FILES)
def test_file_larger_than_any_may_be(copied_bundle, refused, name):
    os.truncate(copied_bundle / name, HUGE)
    with_manifest(copied_bundle, lambda m: m["files"][name].update(bytes=HUGE))
    refused(copied_bundle, f"bytes is {HUGE}; allowed: 0 to")


# The manifest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" " * (1 << 20) + b"{}", "1048578 bytes; allowed: up to 1048576"),
        (b"[" * 500_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"training": ' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
        (b"9" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"format": 1, "format": 1}', "'format' stands twice in one object"),
        (b'{"temperature": NaN}', "NaN is no number of JSON"),
        (b'{"temperature": -Infinity}', "-Infinity is no number of JSON"),
        (b'{"training": {"base": "\\u001b[2J"}}', "control character"),
        ('{"training": {"base": "\x9b2J"}}'.encode(), "control character"),
        (b"null", "the content is None; allowed: an object"),
    ],
)
def test_manifest(copied_bundle, refused, content, message):
    (copied_bundle / "prefmodel.json").write_bytes(content)
    refused(copied_bundle, "prefmodel.json", message)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1, 10**400, "1", None, [1.5], True])
def test_temperature(copied_bundle, refused, value):
    refused(with_manifest(copied_bundle, lambda m: m.update(temperature=value)), "prefmodel.json")


# What opening and scoring do


def test_nothing_is_run_written_or_sent(copied_bundle):
    """Python itself reports (PEP 578) what happens between the imports and a score."""
    code = """
import os, sys
from prefmodel.model import PreferenceModel
PreferenceModel.from_pretrained(None, threads=1)  # imports all
wanted = ("pickle.find_class", "compile", "exec", "import", "marshal.loads", "subprocess", "socket", "ctypes.dlopen",
          "os.system", "os.exec", "os.remove", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.chmod")
def report(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or event.startswith(wanted):
        print(event, arguments)
sys.addaudithook(report)
PreferenceModel.from_pretrained(sys.argv[1], threads=1).score("Why?", "Because.")
print("scored")
open(os.devnull, "w").close(), __import__("pickle").loads(b"cos\\ngetcwd\\n.")
"""
    before = contents(copied_bundle)
    lines = script(code, copied_bundle).splitlines()
    assert lines[0] == "scored", lines
    assert any(line.startswith("open") for line in lines[1:])  # the hook does report
    assert any(line.startswith("pickle.find_class") for line in lines[1:])
    assert contents(copied_bundle) == before


def test_security_promises_name_tests_that_exist():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 12
    assert all(re.search(r"`test_\w+`", row) for row in rows)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"\ndef {name}(" in sources, name
    for path in re.findall(r"`([\w/]+\.py)`", text):
        assert (ROOT / path).is_file()
