"""What textmill must never do, whatever a study, a model or a root contains."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import REPOSITORY, environment, textmill
from toy_study import make_toy

from engine.generate.engines.transformers_lm import CausalLM
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
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert found
    assert found <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


UNPICKLING = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
CALLS = {"eval", "exec"}
LOADS = {("torch", "load"), ("joblib", "load"), ("np", "load"), ("numpy", "load"), ("yaml", "load")}


def wrongs(text):
    """Yield what in a module could run what a file says."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name in UNPICKLING)
            case ast.ImportFrom(module=str(module)) if module in UNPICKLING:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                yield from [f"{owner}.{name}"] if (owner, name) in LOADS else []


def test_no_code_of_ours_runs_what_a_file_says():
    paths = [path for name in ("engine", "jobs") for path in (REPOSITORY / name).rglob("*.py")]
    found = {
        str(path.relative_to(REPOSITORY)): wrong
        for path in paths
        if (wrong := list(wrongs(path.read_text(encoding="utf-8"))))
    }
    assert len(paths) > 150
    assert found == {}
    assert list(wrongs("import pickle\nx = torch.load(y)\neval(z)")) != []


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


REMOTE = """
from pathlib import Path
Path({mark!r}).touch()
from transformers import {base}, {config}
class MineConfig({config}):
    model_type = "mine-of-my-own"
class Mine({base}):
    config_class = MineConfig
"""


def with_code(source, folder, mark, names):
    """Copy a model whose folder brings code of its own."""
    base, config, auto = names
    folder.mkdir()
    for path in Path(source).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "mine.py").write_text(REMOTE.format(mark=str(mark), base=base, config=config))
    told = json.loads((folder / "config.json").read_text())
    told["model_type"] = "mine-of-my-own"
    told["auto_map"] = {"AutoConfig": "mine.MineConfig", auto: "mine.Mine"}
    (folder / "config.json").write_text(json.dumps(told))
    return resolve_model(str(folder), "main", "train.model")


def test_a_classifiers_own_code_is_never_run(tmp_path, tiny_model):
    mark = tmp_path / "mark"
    names = ("BertForSequenceClassification", "BertConfig", "AutoModelForSequenceClassification")
    model = with_code(tiny_model, tmp_path / "model", mark, names)
    with pytest.raises(ValueError, match="trust_remote_code"):
        Classifiers().plain(model, ["bad", "good"])
    assert not mark.exists()


def test_a_generators_own_code_is_run_only_where_the_study_says_so(tmp_path, tiny_llm):
    mark = tmp_path / "mark"
    names = ("LlamaForCausalLM", "LlamaConfig", "AutoModelForCausalLM")
    model = with_code(tiny_llm, tmp_path / "model", mark, names)
    with pytest.raises(Exception, match="trust_remote_code"):
        CausalLM(model, {}, "cpu", 1)
    assert not mark.exists()
    CausalLM(model, {"trust_remote_code": True}, "cpu", 1)
    assert mark.exists()


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/outside", "a/../../b", "..", ".hidden", "a/b"]
)
@pytest.mark.parametrize("file", ["study.toml", "task.toml"])
def test_a_name_cannot_lead_out_of_the_root(toy, file, name):
    path = toy / file
    path.write_text(path.read_text().replace('name = "toy"', f"name = {json.dumps(name)}", 1))
    before = sorted(toy.parent.rglob("*"))
    done = textmill("run", "study.toml", "--root", "root", folder=toy)
    assert done.returncode == 2, done.stdout
    assert sorted(toy.parent.rglob("*")) == before


def test_labels_and_levels_cannot_lead_out_of_the_root_and_no_secret_is_kept(
    tmp_path, tiny_model, ray_up
):
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
