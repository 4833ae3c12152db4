import statistics

import pytest

from engine.errors import ConfigError
from engine.models import EMBEDDED
from jobs.bench.generate import HEAVY_CAP, HEAVY_LEVELS, HEAVY_MEAN, Load, _lengths, bench_generate


def test_heavy_lengths_have_a_long_tail_and_differ_so_that_each_is_a_recipe():
    lengths = _lengths("heavy")
    assert len(set(lengths)) == len(lengths) == HEAVY_LEVELS
    assert statistics.mean(lengths) == pytest.approx(HEAVY_MEAN, rel=0.1)
    assert statistics.median(lengths) < statistics.mean(lengths)
    assert max(lengths) <= HEAVY_CAP


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ConfigError, match="equal or heavy"):
        Load(100, "long", 1, EMBEDDED, "auto", 1, 16)
    asked = Load(100, "equal", 1, EMBEDDED, "auto", 1, 16)
    with pytest.raises(ConfigError, match="there is no 'tgi'"):
        bench_generate(asked, ["vllm", "tgi"], json=False)
