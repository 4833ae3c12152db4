"""A generator from the hub, as its cache holds it: no network is asked."""

import shutil

import pytest

from engine.errors import ModelError
from engine.plan.plan import make_plan
from engine.study.load import load_study

COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.fixture
def planned(toy, tiny_llm, monkeypatch):
    """Plan with a hub model of which the cache holds all files but those named."""

    def plan(*lost):
        cache = toy / "cache"
        folder = cache / "models--someone--writer"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(
            tiny_llm, folder / "snapshots" / COMMIT, ignore=shutil.ignore_patterns(*lost)
        )
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(COMMIT)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        asked = ["generate.engine=transformers", "generate.model=someone/writer"]
        return make_plan(load_study(toy / "study.toml", asked))

    return plan


def test_a_hub_model_in_the_cache_is_named_by_its_commit(planned):
    pool = planned().pools[0]
    assert (pool.model.place, pool.model.revision) == ("someone/writer", COMMIT)
    assert pool.inputs["model"] == {"hub": "someone/writer", "commit": COMMIT}


def test_a_hub_model_without_a_chat_template_is_refused(planned):
    with pytest.raises(ModelError, match="'someone/writer', but its tokenizer has no chat"):
        planned("chat_template.jinja")


def test_a_hub_model_without_a_tokenizer_is_not_whole(planned):
    with pytest.raises(ModelError, match="nor whole in the Hugging Face cache"):
        planned("tokenizer.json")
