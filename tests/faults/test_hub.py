"""A hub that cannot be reached, and models that its cache has in part."""

import shutil
import subprocess
import sys

from command import environment

HUB = """
import sys
from pathlib import Path
from engine.models import resolve_model
from engine.embeddings import load_encoder
from engine.errors import RunFailedError
model = resolve_model("some/encoder", "main", "train.model")
try:
    load_encoder(model, 64)
except RunFailedError as error:
    print(error)
(Path(sys.argv[1]) / ".gitattributes").write_text("")
print(load_encoder(model, 64).encode(["the soup"]).shape)
"""


def test_a_hub_model_that_is_in_the_cache_in_part_is_not_pooled_by_guess(tiny_model, tmp_path):
    commit = "a" * 40
    repository = tmp_path / "hub" / "models--some--encoder"
    snapshot = repository / "snapshots" / commit
    shutil.copytree(tiny_model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    offline = environment(HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    done = subprocess.run(
        [sys.executable, "-c", HUB, str(snapshot)],
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "hf download some/encoder" in done.stdout, done.stderr
    assert done.stdout.endswith("(1, 64)\n")


def test_a_hub_that_cannot_be_reached_says_how_to_fetch_its_model():
    code = (
        "from engine.models import resolve_model\n"
        "resolve_model('nobody/nothing', 'main', 'train.model')"
    )
    unreachable = environment(HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    done = subprocess.run(
        [sys.executable, "-c", code], env=unreachable, capture_output=True, text=True, check=False
    )
    assert "ModelError: train.model is 'nobody/nothing'" in done.stderr
    assert "hf download nobody/nothing" in done.stderr
