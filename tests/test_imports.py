"""What is imported when; each in a process of its own, because this one has imported everything."""

import subprocess
import sys
from pathlib import Path

import pytest

import prefmodel

HEAVY = ("torch", "transformers", "axioms", "training", "export", "onnx", "pyarrow", "fastapi", "trl", "datasets")
RUNTIME = ("onnxruntime", "tokenizers", "huggingface_hub", "numpy")


def imported_by(code: str, names: tuple[str, ...], *arguments: str) -> list[str]:
    code += f"\nimport sys; print('imported', [n for n in {names!r} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return eval(result.stdout.splitlines()[-1].removeprefix("imported "))


def test_the_probe_sees_imports():
    assert imported_by("import numpy", RUNTIME) == ["numpy"]


def test_import_alone_is_light():
    assert imported_by("import prefmodel", HEAVY + RUNTIME) == []


def test_types_need_no_runtime():
    assert imported_by("from prefmodel import Thread, Answer, PreferencePair, Message", HEAVY + RUNTIME) == []


def test_help_is_light():
    code = "from click.testing import CliRunner; from prefmodel.cli import main; "
    code += "print(CliRunner().invoke(main, ['score', '--help']).output)"
    assert imported_by(code, HEAVY + RUNTIME) == []


def test_scoring_needs_no_torch(tiny_bundle):
    code = """
import sys
from prefmodel import PreferenceModel
model = PreferenceModel.from_pretrained(sys.argv[1])
model.rank("Why?", ["Because.", "No."]), model.compare("Why?", "a", "b"), model.explain("Why?", "a", "b")
"""
    assert imported_by(code, (*HEAVY, "onnxruntime"), str(tiny_bundle)) == ["onnxruntime"]


def test_a_local_bundle_needs_no_hub(tiny_bundle):
    code = "import sys; from prefmodel.bundle import Bundle; Bundle.open(sys.argv[1])"
    assert "huggingface_hub" not in imported_by(code, RUNTIME, str(tiny_bundle))


def test_all_names_are_there():
    for name in prefmodel.__all__:
        assert getattr(prefmodel, name) is not None
        assert name in dir(prefmodel)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = prefmodel.nonsense


def test_no_source_imports_what_serving_has_not():
    """Also where an import stands inside a function that no test calls."""
    for path in Path(prefmodel.__file__).parent.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                package = words[1].partition(".")[0]
                assert package not in ("torch", "transformers", "axioms", "training", "export"), f"{path}: {line}"
