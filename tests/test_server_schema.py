"""Requests that schemathesis draws from the OpenAPI document: none may fail the server, or get an unstated answer."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.test_server import serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PATHS = ["/score", "/compare", "/explain", "/rerank", "/predict", "/v1/score", "/v1/rerank", "/v2/rerank"]
PATHS += ["/get_reward"]
FACTS = ["/health", "/ready", "/info", "/metrics"]


@pytest.fixture(scope="module")
def document(tiny_bundle):
    with serving(tiny_bundle) as running:
        yield schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        assert running.process.poll() is None


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", PATHS)
def test_requests_drawn_from_the_schema(document, path, mode):
    """Both those that fit the schema and those that do not."""

    @settings(max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(document[path]["POST"].as_strategy(generation_mode=mode))
    def ask(case):
        statuses.add(case.call_and_validate(checks=CHECKS).status_code)

    statuses: set[int] = set()
    ask()
    assert statuses <= {200, 400, 422} if mode == GenerationMode.POSITIVE else 422 in statuses


def test_the_document_has_no_other_endpoint(document):
    assert sorted(document) == sorted(PATHS + FACTS)


@pytest.mark.parametrize("path", FACTS)
def test_facts_fit_their_schema(document, path):
    assert document[path]["GET"].Case().call_and_validate(checks=CHECKS).status_code == 200
