import json

import pytest

from engine.models import EMBEDDED
from jobs.bench.generate import Load, bench_generate


@pytest.mark.long
@pytest.mark.vllm
def test_textmill_and_vllm_are_measured_on_the_same_rows():
    pytest.importorskip("vllm", reason="needs vLLM")
    asked = Load(100, "equal", 1, EMBEDDED, "auto", 1, 64)
    found = json.loads(bench_generate(asked, ["vllm_in_process", "textmill"], json=True))
    assert found["rows"] == 96
    assert found["tokens"] == 96 * 64
    assert set(found["rows_per_s"]) == {"vllm_in_process", "textmill"}
    ratio = found["rows_per_s"]["textmill"] / found["rows_per_s"]["vllm_in_process"]
    assert found["textmill_to"]["vllm_in_process"] == pytest.approx(ratio, rel=0.02)
    assert 0 <= found["prefix_hit_rate"] < 1
    assert found["driver_mib"] > 0
