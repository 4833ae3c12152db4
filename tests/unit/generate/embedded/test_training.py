"""The embedded model can be built again: a small one here, by the script itself."""

import pytest

from engine.generate.embedded.lessons import STRATEGIES, demo_tasks
from engine.generate.embedded.scope import load_scope, wording_digest
from engine.generate.embedded.train import main
from engine.generate.engine import Prompt, Setup
from engine.generate.engines.transformers_engine import TransformersEngine
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources

STUDY = """
name = "demo"
task = "demo-support"
[generate]
model = "./built"
max_tokens = 20
strategy = "topic"
[mix]
quantity = 8
"""


@pytest.mark.long
def test_the_script_builds_a_model_that_a_study_can_ask(tmp_path):
    main(out=tmp_path / "built", seed=5, count=60)
    scope = load_scope(tmp_path / "built")
    assert (scope.seed, scope.lessons) == (5, 60)
    assert set(scope.tasks.values()) == {
        wording_digest(task, STRATEGIES) for task in demo_tasks().values()
    }
    (tmp_path / "study.toml").write_text(STUDY)
    pool = make_plan(load_study(tmp_path / "study.toml")).pools[0]
    setup = Setup(Store.open(str(tmp_path / "root")), pool.config, Resources(), pool.model)
    asks = pool.strategy_on(None)
    rows = [pool.row(slot, 0) for slot in pool.slots]
    answers = list(
        TransformersEngine(setup).complete(Prompt(row, asks.ask(row).text, pool) for row in rows)
    )
    assert len(answers) == 4
    assert all(answer.error is None and answer.completion_tokens for answer in answers)
