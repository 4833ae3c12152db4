"""The engine ``transformers`` in processes of Ray's."""

import pytest

from engine.errors import ModelError
from engine.generate.generation import generate
from engine.plan.plan import make_plan
from engine.steps.pool import Want
from engine.store.segments import grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources


def test_a_model_that_cannot_be_loaded_is_told_as_wrong_input(toy, tiny_llm, ray_up):
    asked = ["generate.engine=transformers", f"generate.model={tiny_llm}"]
    asked += ["generate.engine_args={attn_implementation='flash_attention_2'}"]
    plan = make_plan(load_study(toy / "study.toml", asked))
    store = Store.open(str(toy / "root"))
    wants = [Want(plan.pools[0], segment) for segment in grid("good", 8)]
    with pytest.raises(ModelError, match=r"cannot be loaded: .*[Ff]lash"):
        generate(wants, store, Resources(), lambda _: None)
