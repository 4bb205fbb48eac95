import threading

import numpy as np
import pytest

import prefmodel
from prefmodel import bundle, shortcuts
from prefmodel.errors import BundleError

QUESTION, GOOD, BAD = "Why is the sky blue?", "Because air scatters blue light.", "No idea."


@pytest.fixture
def default_bundle(tiny_bundle, monkeypatch):
    """Let the tiny bundle be the one that comes with the package."""
    monkeypatch.setattr(bundle, "DEFAULT", tiny_bundle)
    monkeypatch.setattr(shortcuts, "_model", None)


def test_shortcuts_are_the_methods(default_bundle, model):
    assert prefmodel.score(QUESTION, GOOD) == pytest.approx(model.score(QUESTION, GOOD), abs=1e-6)
    np.testing.assert_allclose(prefmodel.score(QUESTION, [GOOD, BAD]), model.score(QUESTION, [GOOD, BAD]), atol=1e-6)
    assert [r.index for r in prefmodel.rank(QUESTION, [GOOD, BAD])] == [
        r.index for r in model.rank(QUESTION, [GOOD, BAD])
    ]
    assert prefmodel.compare(QUESTION, GOOD, BAD) == pytest.approx(model.compare(QUESTION, GOOD, BAD), abs=1e-6)
    assert str(prefmodel.explain(QUESTION, GOOD, BAD)) == str(model.explain(QUESTION, GOOD, BAD))


def test_threads_share_one_model(default_bundle):
    found = []
    workers = [threading.Thread(target=lambda: found.append(shortcuts.default_model())) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8
    assert len({id(model) for model in found}) == 1


def test_an_install_without_a_bundle(default_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "DEFAULT", tmp_path / "default")
    with pytest.raises(BundleError, match="this install has no default bundle"):
        prefmodel.score(QUESTION, GOOD)
