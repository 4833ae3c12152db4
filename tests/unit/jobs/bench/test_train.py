import pytest

from engine.errors import ConfigError
from engine.models import PACKAGED_ENCODER
from jobs.bench.train import Load, bench_train


def test_a_way_that_is_not_known_is_said():
    load = Load(runs=1, rows=30, steps=1, batch_size=8, model=PACKAGED_ENCODER)
    with pytest.raises(ConfigError, match="there is no 'tune'"):
        bench_train(load, ["fleet", "tune"], json=False)
