"""A study that is done, without Ray; its trainer looks at no model."""

from command import textmill
from offline_fill import OfflineFill
from toy_study import make_toy

from engine.make.references import write_references
from engine.status.survey import survey
from engine.train.run_worker import RunWorker

OVERRIDES = ["generate.engine=user_plugins:Slow", "train.trainer=user_plugins:Guess"]
OVERRIDES += ["factors.quantity=[24]", "repeats=1"]
WORDS = ["study.toml", "--root", "root", *(word for one in OVERRIDES for word in ("--set", one))]


def make_done(folder):
    """Make the study in a new folder, and return that."""
    model, place = folder / "model", folder / "toy"
    model.mkdir()
    place.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (model / name).write_text("{}")
    toy = make_toy(place, model)
    done = OfflineFill(toy / "study.toml", OVERRIDES).fill()
    for pool in done.plan.pools:
        done.store.commit_document(f"{pool.folder}/recipe.json", pool.recipe())
    for view in done.plan.views:
        done.store.commit_document(f"{view.folder}/recipe.json", view.recipe())
    now = survey(done.plan, done.store)
    write_references(now, done.store)
    for run in now.missing():
        RunWorker(done.store).do(run)
    assert "2 made" in textmill("plan", *WORDS, folder=toy).stdout
    return toy
