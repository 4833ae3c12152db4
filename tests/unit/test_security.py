"""What textmill must never do, whatever a study, a model or a root contains."""

import ast
import json
from pathlib import Path

import pytest
from command import REPOSITORY, textmill

from engine.generate.engines.transformers_lm import CausalLM
from engine.models import resolve_model
from engine.train.trainers.classifier import Classifiers

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
