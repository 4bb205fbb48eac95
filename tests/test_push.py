"""`prefmodel push`: which files go to the Hub, and what is refused before anything does."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from prefmodel.cli import main
from prefmodel.push_command import files_to_push
from tests.command import fails


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (folder / "README.md").write_text("# A card\n")
    return folder


def test_a_dry_run_names_the_files_and_their_bytes(bundle):
    (bundle / "notes.txt").write_text("mine")
    done = run("push", bundle, "me/mine", "--dry-run")
    assert done.exit_code == 0
    found = dict(reversed(line.split("\t")) for line in done.stdout.splitlines())
    assert found == {name: str((bundle / name).stat().st_size) for name in files_to_push(bundle)}
    listed = json.loads((bundle / "prefmodel.json").read_text())["files"]
    assert {*found} == {*listed, "prefmodel.json", "README.md"}
    assert done.stderr == "nothing is uploaded to me/mine\n"


def test_a_notice_goes_along(bundle):
    (bundle / "NOTICE.md").write_text("Texts by others.\n")
    (bundle / "ablation.png").write_bytes(b"a picture of the card")
    assert {"NOTICE.md", "ablation.png"} <= {*files_to_push(bundle)}


@pytest.mark.parametrize("name", ["mine", "me/my/model", "me/", "../mine", "me/mine?"])
def test_a_name_that_is_none(bundle, name):
    fails(run("push", bundle, name, "--dry-run"), f"OWNER/NAME is '{name}'; allowed: two names with a slash")


def test_what_is_no_bundle(bundle, tmp_path):
    fails(run("push", tmp_path / "none", "me/mine", "--dry-run"), "none; allowed: a folder")
    (bundle / "README.md").unlink()
    fails(run("push", bundle, "me/mine", "--dry-run"), "has no README.md, the model's card")
    (bundle / "tokenizer.json").write_text("{}")
    fails(run("push", bundle, "me/mine", "--dry-run"), "tokenizer.json")


def test_without_the_hub_it_says_so(bundle, monkeypatch):
    """Offline, as these tests are, the real client refuses."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = run("push", bundle, "me/mine")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("error: me/mine: not uploaded: ")
