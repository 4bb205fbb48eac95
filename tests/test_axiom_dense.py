"""Dense retrieval: a real graph of a sentence encoder, run by onnxruntime, and the neighbours that it finds."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import relevance
from axioms.dense import dense_neighbours
from axioms.relevance import RelevanceConfig
from prefmodel.errors import BundleError, InputError
from prefmodel.sentence_encoder import SentenceEncoder
from tests.threads import any_threads, ask, library
from tests.tiny import tiny_tokenizer
from tests.tiny_encoder import INPUTS, WIDTH, encoder_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return encoder_folder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder):
    return SentenceEncoder(folder)


TEXTS = ["Why is the sky blue?", "Is air blue?", "", "sky " * 200, "light"]


def by_hand(texts, pool):
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(128)
    weights = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), WIDTH)).astype(np.float32)
    rows = np.array([pool(weights[tokenizer.encode(text).ids]) for text in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_a_vector_is_the_mean_over_the_tokens_of_the_text_whatever_the_batch(folder, batch):
    found = SentenceEncoder(folder, batch=batch).encode(TEXTS)
    assert found.shape == (5, WIDTH)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(TEXTS, lambda tokens: tokens.mean(0)), atol=1e-6)


def test_the_graph_s_own_pooling_goes_first(tmp_path):
    encoder = SentenceEncoder(encoder_folder(tmp_path, pooled=True, graph="model.onnx"), batch=1)
    np.testing.assert_allclose(encoder.encode(TEXTS), by_hand(TEXTS, lambda tokens: tokens.max(0)), atol=1e-6)


def test_a_graph_without_token_types(tmp_path):
    encoder = SentenceEncoder(encoder_folder(tmp_path, inputs=INPUTS[:2]))
    np.testing.assert_allclose(encoder.encode(TEXTS), by_hand(TEXTS, lambda tokens: tokens.mean(0)), atol=1e-6)
    assert len(encoder.encode([])) == 0


@pytest.mark.parametrize("name", ["", "no such folder", "a/b/c"])
def test_a_name_that_is_neither_a_folder_nor_one_of_the_hub(name):
    with pytest.raises(InputError, match=r"encoder is .*; allowed: a folder, or owner/name on the Hub"):
        SentenceEncoder(name)


def test_a_hub_that_does_not_answer():
    with pytest.raises(BundleError, match="nobody/nothing: no such folder, and not to be had from the Hub"):
        SentenceEncoder("nobody/nothing")


def test_a_folder_that_is_no_encoder(folder, tmp_path):
    with pytest.raises(BundleError, match=r"no tokenizer.json with onnx/model.onnx or model.onnx"):
        SentenceEncoder(tmp_path)
    encoder_folder(tmp_path, inputs=(*INPUTS, "pixel_values"))
    with pytest.raises(InputError, match=r"wants the input 'pixel_values'; allowed: those of a text encoder"):
        SentenceEncoder(tmp_path)
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"the encoder cannot be read: "):
        SentenceEncoder(tmp_path)


@settings(max_examples=30, deadline=None)
@given(threads=any_threads, depth=st.integers(1, 6), exact=st.sampled_from([0, 100]))
def test_dense_neighbours_are_of_the_source_similar_and_in_order(encoder, threads, depth, exact):
    found = list(dense_neighbours(threads, encoder, depth, alike=0.9, exact=exact))
    vectors = encoder.encode([thread.question for thread in threads])
    assert len(found) == len(threads)
    for own, (hits, copies) in enumerate(found):
        assert len(hits) <= depth + 1
        assert [hit.rank for hit in hits] == list(range(len(hits)))
        assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
        assert own not in {*copies, *(hit.index for hit in hits)}
        for hit in hits:
            assert threads[hit.index].source == threads[own].source
            assert hit.similarity == pytest.approx(float(vectors[own] @ vectors[hit.index]), abs=1e-5)
            assert 0 < hit.similarity < 0.9
            assert hit.found_by == "dense"
            assert hit.index not in copies


def test_near_duplicates_by_cosine_or_by_words_are_told_apart(encoder):
    threads = [
        ask(0, "Why is the sky blue?"),
        ask(1, "Why is the sky so blue?"),  # the same content words
        ask(2, "why the sky is air?"),
        ask(3, "because light scatters"),
    ]
    loose = list(dense_neighbours(threads, encoder, alike=1.1))
    assert loose[0][1] == {1}
    vectors = encoder.encode([thread.question for thread in threads])
    cosine = float(vectors[0] @ vectors[2])
    hits, copies = next(dense_neighbours(threads, encoder, alike=cosine - 0.01))
    assert copies == {1, 2}
    assert all(hit.index == 3 for hit in hits)


def test_an_approximate_index_finds_the_same(encoder):
    threads = library(60)
    exact, approximate = (list(dense_neighbours(threads, encoder, 5, alike=1.1, exact=n)) for n in (100, 0))
    assert sum(a == b for a, b in zip(exact, approximate, strict=True)) > 50


def test_relevance_mines_with_the_encoder_that_is_named(folder, encoder):
    threads = [
        *library(12),
        ask(90, "is air light?", "Air weighs more than nothing."),  # no content word in common with the next one
        ask(91, "the sky", "Rayleigh scattering of the sun."),
    ]
    config = RelevanceConfig(encoder=str(folder), alike=0.99, depth=13, rest=-1.0, generic=0.0)
    found = list(relevance.build(threads, Random(0), config))
    assert found == list(relevance.build(threads, Random(0), config))
    assert {p.provenance["found_by"] for p in found} == {"dense"}
    assert {p.thread_id for p in found} >= {"demo/90", "demo/91"}
    assert "demo/91" not in {p.thread_id for p in relevance.build(threads, Random(0))}  # BM25 has nothing for it
    vectors = dict(zip((t.id for t in threads), encoder.encode([t.question for t in threads]), strict=True))
    for pair in found:
        cosine = float(vectors[pair.thread_id] @ vectors[pair.provenance["negative_of"]])
        assert pair.provenance["similarity"] == pytest.approx(cosine, abs=1e-3)
        assert cosine < 0.99


def test_what_the_encoder_takes_for_a_copy_is_no_negative_of_bm25_either(folder):
    config = RelevanceConfig(encoder=str(folder), alike=-1.0, depth=12)
    assert list(relevance.build(library(12), Random(0), config)) == []
    assert list(relevance.build(library(12), Random(0)))
