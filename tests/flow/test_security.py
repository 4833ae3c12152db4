"""What textmill must never do, whatever a study, a model or a root contains."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import environment, textmill
from toy_study import make_toy

from engine.models import resolve_model
from engine.train.trainers.classifier import Classifiers

SECRETS = {
    "HF_TOKEN": "hf_0123456789abcdef",
    "OPENAI_API_KEY": "sk-0123456789abcdef",
    "AWS_SECRET_ACCESS_KEY": "aws/0123456789abcdef",
    "RAY_AUTH_TOKEN_NOTE": "ray-0123456789abcdef",
}
LISTENING = """
import psutil
from engine.nodes.session import ray_session
with ray_session():
    import ray
    ray.get(ray.remote(lambda: 1).remote())
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        for at in process.net_connections(kind="inet"):
            if at.status == psutil.CONN_LISTEN:
                print(at.laddr.ip)
"""


def test_nothing_listens_beyond_loopback():
    words = [sys.executable, "-c", LISTENING]
    unset = {name: value for name, value in environment().items() if not name.startswith("RAY_")}
    done = subprocess.run(words, env=unset, capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert found
    assert found <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


PICKLED = """
import os, sys, torch
class Evil:
    def __reduce__(self):
        return os.system, (f"touch {sys.argv[2]}",)
torch.save({"weight": Evil()}, sys.argv[1])
"""


def test_weights_in_a_pickle_run_nothing(tmp_path, tiny_model):
    folder, mark = tmp_path / "model", tmp_path / "mark"
    folder.mkdir()
    for path in Path(tiny_model).iterdir():
        if path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    words = [sys.executable, "-c", PICKLED, str(folder / "pytorch_model.bin"), str(mark)]
    subprocess.run(words, check=True)
    model = resolve_model(str(folder), "main", "train.model")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        Classifiers().plain(model, ["bad", "good"])
    assert not mark.exists()


def test_labels_and_levels_cannot_lead_out_of_the_root_and_no_secret_is_kept(tmp_path, tiny_model):
    folder = make_toy(tmp_path, tiny_model)
    label = "../../good"
    for path in folder.glob("*.jsonl"):
        path.write_text(path.read_text().replace('"good"', json.dumps(label)))
    task = folder / "task.toml"
    task.write_text(task.read_text().replace("good = ", f"{json.dumps(label)} = "))
    study = (folder / "study.toml").read_text()
    recipe = '[[factors.recipe]]\nname = "../../<b>recipe</b>"\ntemperature = 0.5\n'
    (folder / "study.toml").write_text(
        study.replace("repeats = 2", "repeats = 1")
        .replace("[0, 8, 24]", "[8]")
        .replace("[0, 10]", "[10]")
        + recipe
    )
    before = {path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(folder)}
    done = textmill("run", "study.toml", "--root", "root", folder=folder, **SECRETS)
    assert done.returncode == 0, done.stderr + done.stdout
    after = {path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(folder)}
    assert after == before
    made = [path for path in folder.iterdir() if path.name not in ("__pycache__",)]
    assert {path.name for path in made if path.is_dir() and not path.is_symlink()} == {"root"}
    page = (folder / "root/studies/toy/report.html").read_text()
    assert "<b>recipe" not in page
    for path in (folder / "root").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [name for name, secret in SECRETS.items() if secret.encode() in data], path
    assert not [name for name, secret in SECRETS.items() if secret in done.stdout + done.stderr]
