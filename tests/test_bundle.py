import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefmodel.bundle import Bundle, write_manifest
from prefmodel.errors import BundleError, InputError
from prefmodel.types import CONTRIBUTIONS
from tests.tiny import ENCODING, TRAINING


def change_manifest(folder: Path, change) -> None:
    path = folder / "prefmodel.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def error_of(folder, **options) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_opens_what_was_written(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    assert bundle.encoding == ENCODING
    assert bundle.contributions == CONTRIBUTIONS
    assert bundle.temperature == 1.5
    assert bundle.info["training"] == TRAINING
    assert sorted(bundle.info["files"]) == [
        "config.json",
        "onnx/model.onnx",
        "onnx/model_int8.onnx",
        "tokenizer.json",
    ]


def test_precision(tiny_bundle, copied_bundle):
    assert Bundle.open(tiny_bundle).onnx.name == "model_int8.onnx"
    assert Bundle.open(tiny_bundle, precision="float32").onnx.name == "model.onnx"
    with pytest.raises(InputError, match=r"precision is 'int4'; allowed: int8, float32"):
        Bundle.open(tiny_bundle, precision="int4")
    (copied_bundle / "onnx/model_int8.onnx").unlink()
    write_manifest(copied_bundle, ENCODING, CONTRIBUTIONS, 1.5, TRAINING)
    assert Bundle.open(copied_bundle).precision == "float32"
    with pytest.raises(InputError, match=r"precision is 'int8'; allowed: float32, which .* has$"):
        Bundle.open(copied_bundle, precision="int8")


def test_manifest_bytes_do_not_change(copied_bundle):
    before = (copied_bundle / "prefmodel.json").read_bytes()
    write_manifest(copied_bundle, ENCODING, CONTRIBUTIONS, 1.5, TRAINING)
    assert (copied_bundle / "prefmodel.json").read_bytes() == before


def test_card_may_be_edited(copied_bundle):
    (copied_bundle / "README.md").write_text("# Another card\n")
    assert Bundle.open(copied_bundle).folder == copied_bundle


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model_int8.onnx"])
def test_flipped_byte(copied_bundle, name):
    path = copied_bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert f"{path}: damaged, sha256" in error_of(copied_bundle)


def test_cut_short(copied_bundle):
    path = copied_bundle / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-1])
    assert "bytes, not" in error_of(copied_bundle)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "onnx/model.onnx"])
def test_missing_file(copied_bundle, name):
    (copied_bundle / name).unlink()
    assert f"{name}: no such file" in error_of(copied_bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "a\\b", "C:/b", "", ".", "a//b"])
def test_path_outside(copied_bundle, name):
    change_manifest(copied_bundle, lambda m: m["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    assert f"a name in files is {name!r}; allowed: config.json, tokenizer.json, onnx/model" in error_of(copied_bundle)


def test_link_outside(copied_bundle, tmp_path):
    inside, outside = copied_bundle / "tokenizer.json", tmp_path / "elsewhere.json"
    inside.rename(outside)
    inside.symlink_to(outside)
    assert "is a link to" in error_of(copied_bundle)


def test_linked_folder_outside(copied_bundle, tmp_path):
    (copied_bundle / "onnx").rename(tmp_path / "onnx")
    (copied_bundle / "onnx").symlink_to(tmp_path / "onnx")
    assert "is a link to" in error_of(copied_bundle)


def test_link_to_the_bundle_itself(tiny_bundle, tmp_path):
    (tmp_path / "latest").symlink_to(tiny_bundle)
    assert Bundle.open(tmp_path / "latest").temperature == 1.5


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_unlisted_file(copied_bundle, name):
    change_manifest(copied_bundle, lambda m: m["files"].pop(name))
    assert f"files does not list {name}" in error_of(copied_bundle)


def test_unlisted_graphs(copied_bundle):
    change_manifest(copied_bundle, lambda m: [m["files"].pop(f"onnx/{n}.onnx") for n in ("model", "model_int8")])
    assert "files does not list onnx/model_int8.onnx or onnx/model.onnx" in error_of(copied_bundle)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", 2, "format is 2; allowed: 1"),
        ("temperature", 0, "temperature is 0; allowed: above 0"),
        ("temperature", float("nan"), "not JSON: NaN is no number of JSON"),
        ("temperature", True, "temperature is True; allowed: above 0"),
        ("temperature", "1.0", "temperature is '1.0'; allowed: above 0"),
        ("contributions", [], "contributions is []; allowed: different ones of usefulness"),
        ("contributions", ["general", "general"], "contributions is ['general', 'general']; allowed: different"),
        ("contributions", ["charm"], "contributions is ['charm']; allowed: different"),
        ("contributions", "general", "contributions is 'general'; allowed: different"),
        ("encoding", {"max_tokens": 64}, "encoding is {'max_tokens': 64}; allowed: max_tokens, question_tokens"),
        ("files", [], "files is []; allowed: an object"),
        ("files", {"config.json": 5}, "files['config.json'] is 5; allowed: sha256 and bytes"),
        ("files", {"config.json": {"sha256": "00", "bytes": 1}}, "sha256 is '00'; allowed: 64 hex digits"),
        ("files", {"config.json": {"sha256": "0" * 64, "bytes": -1}}, "bytes is -1; allowed: 0 to 1048576"),
        ("training", None, "training is None; allowed: an object"),
    ],
)
def test_wrong_field(copied_bundle, field, value, message):
    change_manifest(copied_bundle, lambda m: m.update({field: value}))
    text = error_of(copied_bundle)
    assert text.startswith(str(copied_bundle / "prefmodel.json"))
    assert message in text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_tokens", 64.0, "encoding max_tokens is 64.0; allowed: a whole number"),
        ("max_tokens", 2, "encoding max_tokens is 2; allowed: 16 to 1000000"),
        ("question_tokens", True, "encoding question_tokens is True; allowed: a whole number"),
        ("head_share", 1.5, "encoding head_share is 1.5; allowed: 0 to 1"),
        ("head_share", None, "encoding head_share is None; allowed: 0 to 1"),
        ("mark", 7, "encoding mark is 7; allowed: text"),
    ],
)
def test_wrong_encoding(copied_bundle, field, value, message):
    change_manifest(copied_bundle, lambda m: m["encoding"].update({field: value}))
    assert message in error_of(copied_bundle)


def test_text_of_people_may_have_backslashes_and_lines(copied_bundle):
    notes = "C:\\base\\u0007\nÄ …\ttab"
    change_manifest(copied_bundle, lambda m: m["training"].update(notes=notes))
    assert Bundle.open(copied_bundle).info["training"]["notes"] == notes


@pytest.mark.parametrize("accuracy", [5, {"trusted": 5}, {"trusted": None}, {"trusted": [["general"]]}])
def test_contributions_are_experimental_until_a_record_says_otherwise(copied_bundle, accuracy):
    change_manifest(copied_bundle, lambda m: m["training"].update(accuracy=accuracy))
    assert Bundle.open(copied_bundle).experimental == CONTRIBUTIONS


def test_missing_and_unknown_fields(copied_bundle):
    change_manifest(copied_bundle, lambda m: m.pop("temperature"))
    assert "allowed: contributions, encoding, files, format, temperature, training" in error_of(copied_bundle)
    change_manifest(copied_bundle, lambda m: m.update(temperature=1.0, extra=1))
    assert "'extra'" in error_of(copied_bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "\xff", "[" * 100_000])
def test_manifest_is_no_object(copied_bundle, text):
    (copied_bundle / "prefmodel.json").write_bytes(text.encode("latin-1"))
    assert "prefmodel.json" in error_of(copied_bundle)


def test_no_bundle(tmp_path):
    assert f"{tmp_path}: not a bundle" in error_of(tmp_path)
    assert "no such folder" in error_of(tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    assert "not a folder" in error_of(tmp_path / "file")
    for wrong in (5, "", b"x"):
        with pytest.raises(InputError, match="the bundle is"):
            Bundle.open(wrong)


def test_revision_is_for_the_hub(tiny_bundle):
    with pytest.raises(InputError, match="revision is 'main'; allowed: none"):
        Bundle.open(tiny_bundle, revision="main")


def test_write_manifest_refuses(copied_bundle):
    with pytest.raises(BundleError, match=r"temperature is -1"):
        write_manifest(copied_bundle, ENCODING, CONTRIBUTIONS, -1, TRAINING)
    (copied_bundle / "config.json").unlink()
    with pytest.raises(BundleError, match=r"config.json: no such file"):
        write_manifest(copied_bundle, ENCODING, CONTRIBUTIONS, 1.0, TRAINING)


def hub_script(home: Path, name: str, revision: str | None = None) -> subprocess.CompletedProcess:
    code = f"""
from prefmodel.bundle import Bundle
from prefmodel.errors import BundleError
try:
    print(Bundle.open({name!r}, revision={revision!r}).temperature)
except BundleError as error:
    print("refused:", error)
"""
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


def test_hub_name_in_the_cache(tiny_bundle, tmp_path):
    """The Hub's cache keeps content in `blobs` and links to it; a real cache, read offline."""
    repository = tmp_path / "hub" / "models--owner--name"
    commit = "1" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "blobs").mkdir()
    for number, path in enumerate(p for p in sorted(tiny_bundle.rglob("*")) if p.is_file()):
        blob = repository / "blobs" / f"{number:040d}"
        blob.write_bytes(path.read_bytes())
        link = repository / "snapshots" / commit / path.relative_to(tiny_bundle)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    assert hub_script(tmp_path, "owner/name").stdout == "1.5\n"
    assert hub_script(tmp_path, "owner/name", commit).stdout == "1.5\n"
    assert "refused:" in hub_script(tmp_path, "owner/name", "other").stdout


def test_hub_out_of_reach(tmp_path):
    result = hub_script(tmp_path, "owner/missing")
    assert result.stdout.startswith("refused: owner/missing: no such folder, and not to be had from the Hub:")
    assert result.stdout.count("\n") == 1
