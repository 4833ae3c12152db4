"""No identity changes unless it is meant to: the fingerprints are those of the golden file.

Where one is meant to change, a VERSION is raised and the file written anew, with its reason in the
CHANGELOG: ``PYTHONPATH=.:tests/helpers python tests/helpers/golden_fingerprints.py``.
"""

import json

import pytest
from golden_fingerprints import GOLDEN, PLANNED, fingerprints


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return fingerprints(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("study", PLANNED)
def test_every_step_has_the_identity_that_it_had(found, study):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[study]
    assert found[study] == golden
