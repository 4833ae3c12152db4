import json

from jobs.bench.scale import bench_scale


def test_a_small_ablation_is_planned_made_and_counted(ray_up):
    found = json.loads(bench_scale(800, 200, 1, 200_000.0, json=True))
    assert found["conditions"] == 200
    assert found["runs"] == 1000
    assert found["rows"] >= 800
    assert found["files"] > found["rows"] / 512
    assert found["overhead"] > -0.01  # no engine is faster than it says
    assert 0 <= found["tail_s"] < found["seconds"]
