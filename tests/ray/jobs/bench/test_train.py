import json

import pytest

from jobs.bench.train import Load, bench_train


@pytest.mark.long
def test_the_fleet_and_trainer_train_the_same(ray_up, tiny_model):
    pytest.importorskip("accelerate", reason="transformers.Trainer needs it")
    load = Load(runs=2, rows=30, steps=3, batch_size=8, model=str(tiny_model))
    found = json.loads(bench_train(load, ["trainer", "fleet"], json=True))
    assert found["ratio"]["trainer"] == pytest.approx(
        found["seconds"]["trainer"] / found["seconds"]["fleet"],
        abs=0.01,  # both are rounded
    )
    assert found["scored_rows"] == 321 + 144
    assert all(0 < found["mean_accuracy"][arm] < 1 for arm in ("trainer", "fleet"))
    assert all(found["peak_mib"][arm] > 100 for arm in ("trainer", "fleet"))
