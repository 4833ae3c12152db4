import json

from jobs.bench.curate import bench_curate


def test_the_bench_judges_every_row_it_counts(ray_up):
    found = json.loads(bench_curate(400, json=True))
    assert found["rows"] == found["accepted"] >= 400
    assert found["rows_per_s"] > 0
    assert found["machine"]["ray"] == "2.60.0"
