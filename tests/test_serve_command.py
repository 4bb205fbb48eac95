"""`prefmodel serve`: its options, what it is called, and what it wants and does not want installed."""

import json
import socket
import subprocess

import pytest

from prefmodel.errors import InputError
from prefmodel.server.settings import Settings
from tests.command import COMMAND, fails
from tests.test_server import given, serving


def test_settings_are_checked():
    for field, value in {"max_rows": 0, "queue_tokens": True, "wait_ms": -1, "request_seconds": "1"}.items():
        with pytest.raises(InputError, match=rf"^{field} is .*; allowed: "):
            Settings(**{field: value})
    with pytest.raises(InputError, match=r"^token is not shown") as caught:
        Settings(token="geheim\n")
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(Settings(token="geheim"))


def test_wrong_arguments_are_told_in_a_line(run, tmp_path):
    fails(run("serve", "--max-rows", 0), "--max-rows is 0; allowed: ")
    fails(run("serve", "--timeout", -1), "--timeout is -1.0; allowed: a number from 0.01 to 86400")
    fails(run("serve", "--token-file", tmp_path / "none"), "--token-file is ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        fails(run("serve", "--port", taken.getsockname()[1]), "host and port are 127.0.0.1 and ", "in use")
    fails(run("serve", "--port", 0, model=tmp_path), "not a bundle")
    fails(run("serve", "--port", 0, "--host", ".example"), "host is '.example'; allowed: an address or a name")


def test_a_server_is_called_by_its_folder(tiny_bundle):
    with serving(".", "--name", "", cwd=tiny_bundle) as running:
        assert given(running.http.get("/info"))["model"] == "tiny"


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_told(package, tiny_bundle):
    code = f"import sys; sys.modules[{package!r}] = None; from prefmodel.cli import main; "
    code += f"main(['serve', '--port', '0', '--model', {str(tiny_bundle)!r}])"
    done = subprocess.run([COMMAND[0], "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "pip install 'prefmodel[serve]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_needs_no_torch(tiny_bundle):
    code = """
import sys, json
from prefmodel import PreferenceModel
light = "fastapi" not in sys.modules
from prefmodel.server.app import create_app
create_app(PreferenceModel.from_pretrained(sys.argv[1], threads=1))
print(json.dumps([light, [n for n in ("torch", "transformers", "training", "export", "axioms") if n in sys.modules]]))
"""
    done = subprocess.run([COMMAND[0], "-c", code, str(tiny_bundle)], capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout) == [True, []], done.stderr
