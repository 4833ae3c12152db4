"""Wrong input: one clear message, exit status 2, before anything starts, and nothing on disk."""

import json
import re
import sys

import pytest

from jobs.cli import main


@pytest.fixture
def textmill(toy, monkeypatch, capsys):
    """Run the command in this process; return its exit status and what it said."""
    monkeypatch.chdir(toy)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["textmill", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def add(name, text):
    def change(folder):
        with (folder / name).open("a") as file:
            file.write(text)

    return change


def remove(name):
    return lambda folder: (folder / name).unlink()


STUDY, TASK = "study.toml", "task.toml"
BUNDLE = '[[factors.{0}]]\nname = "a"\nshots = 1\n'


def TEMPLATE(bad, good):  # noqa: N802 - a piece of a study, like those above
    table = f'templates = {{bad = ["{bad}"], good = ["{good}"]}}'
    return '"recorded"', f'"verbatim"\nstrategy = "template"\n{table}'


CASES = {
    "unknown key": (edit(STUDY, "steps", "stepz"), r"unknown key 'train\.stepz'.*'steps'"),
    "unknown section": (add(STUDY, "[trian]\nsteps = 1\n"), r"unknown key 'trian'.*'train'"),
    "unknown published numbers": (
        edit(STUDY, "repeats", 'published = "li2042"\nrepeats'),
        r"study\.toml, published: .*'li2042'.*'li2024'",
    ),
    "unknown factor": (edit(STUDY, "quantity =", "quantiti ="), r"'quantiti'.*'quantity'"),
    "unknown task key": (add(TASK, "\n[label]\na = 'b'\n"), r"unknown key 'label'.*'labels'"),
    "wrong type": (edit(STUDY, "steps = 6", 'steps = "6"'), r"train\.steps is '6'.*integer"),
    "wrong range": (edit(STUDY, "1e-3", "-1e-3"), r"train\.learning_rate is -0\.001"),
    "wrong level": (edit(STUDY, "[0, 8, 24]", "[0, -8]"), r"mix: quantity is -8"),
    "level of the wrong type": (edit(STUDY, "[0, 8, 24]", "[0.5]"), r"quantity is 0\.5"),
    "not TOML": (add(STUDY, "= 5"), r"study\.toml is not valid TOML.*line"),
    "unknown engine": (edit(STUDY, '"recorded"', '"recordet"'), r"engine.*'recordet'.*'recorded'"),
    "unknown strategy": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "fewshot"'),
        r"strategy.*'fewshot'.*'few_shot'",
    ),
    "unknown strategy, unused": (
        edit(STUDY, '"recorded"', '"recorded"\nstrategy = "fewshot"'),
        r"strategy.*'fewshot'.*'few_shot'",
    ),
    "more shots than real rows": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "few_shot"\nshots = 41'),
        r"shots is 41, but there are only 40 real rows.*lower it",
    ),
    "unknown topic file": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "topic"\ntopics = "tropics.txt"'),
        r"generate\.topics is 'tropics\.txt'.*tropics\.txt cannot be read",
    ),
    "no topics at all": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "topic"'),
        r"needs topics, and the task 'toy' has none",
    ),
    "a topic twice": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "topic"\ntopics = ["tea", "tea"]'),
        r"'tea' is listed twice",
    ),
    "an empty topic": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "topic"\ntopics = ["tea", " "]'),
        r"generate\.topics.*one of them is empty",
    ),
    "temperature next to zero": (
        edit(STUDY, '"recorded"', '"transformers"\ntemperature = 1e-9'),
        r"generate\.temperature is 1e-09: write 0, or 0\.01 at least",
    ),
    "records without their engine": (
        edit(STUDY, 'engine = "recorded"\n', ""),
        r"'toy' is another task.*generate\.engine = \"recorded\"",
    ),
    "a topic that is not shown": (
        edit(TASK, "[wording]", '[wording]\ntopic = "On a topic."'),
        r"wording\.topic.*its one slot must be \{topic\}",
    ),
    "generator without a chat template": (
        edit(STUDY, '"recorded"', '"transformers"\nmodel = "./model"'),
        r"generate\.model is .*model.*no chat template.*tuned to follow",
    ),
    "the toy generator on another task": (
        edit(STUDY, '"recorded"', '"transformers"'),
        r"generate\.model is 'textmill-demo', a toy.*'toy' is another task.*another model",
    ),
    "generator that is nowhere": (
        edit(STUDY, '"recorded"', '"transformers"\nmodel = "nobody/nothing"'),
        r"generate\.model is 'nobody/nothing'.*hf download nobody/nothing",
    ),
    "temperature below zero": (
        edit(STUDY, '"recorded"', '"transformers"\ntemperature = -1.0'),
        r"generate\.temperature is -1\.0",
    ),
    "unknown engine argument": (
        edit(STUDY, '"recorded"', '"transformers"\nengine_args = {dtyp = "float32"}'),
        r"engine_args: unknown argument 'dtyp'.*'dtype'",
    ),
    "request without its label": (
        edit(TASK, "Write one {label} review: {description}.", "Write a review."),
        r"wording\.request is .*shows neither \{label\} nor \{description\}",
    ),
    "label without real rows": (
        lambda folder: (folder / "train.jsonl").write_text('{"label": "bad", "text": "x"}\n' * 20),
        r"no rows labelled 'good'",
    ),
    "unknown trainer": (edit(STUDY, "steps", 'trainer = "hed"\nsteps'), r"trainer.*'hed'.*'head'"),
    "weight of an unknown label": (
        edit(STUDY, "steps", "class_weights = {god = 2}\nsteps"),
        r"train\.class_weights has the unknown label 'god'.*'good'",
    ),
    "class weights of no kind": (
        edit(STUDY, "steps", 'class_weights = "equal"\nsteps'),
        r"train\.class_weights",
    ),
    "patience without looks": (
        edit(STUDY, "steps", "patience = 3\nsteps"),
        r"train.*give evaluate_every too",
    ),
    "no trainer at all": (
        edit(STUDY, "steps", 'trainer = "json:dumps"\nsteps'),
        r"'json:dumps' is no trainer",
    ),
    "penalty without end": (
        edit(STUDY, "steps", "inverse_regularisation = 0.0\nsteps"),
        r"train\.inverse_regularisation is 0\.0",
    ),
    "unknown filter": (
        add(STUDY, '[curate]\nfilters = ["lenght"]\n'),
        r"row filter.*'lenght'.*'length'",
    ),
    "unknown task": (edit(STUDY, '"task.toml"', '"sst"'), r"no task named 'sst'.*'sst2'"),
    "unknown label": (
        add(STUDY, "[mix]\nprior = {bad = 1.0, goood = 2.0}\n"),
        r"mix\.prior.*'goood'.*'good'",
    ),
    "missing study's task": (remove(TASK), r"no file .*task\.toml"),
    "missing gold file": (remove("test.jsonl"), r"no file .*test\.jsonl"),
    "missing records": (remove("records.jsonl"), r"no file .*records\.jsonl"),
    "unreadable gold file": (add("train.jsonl", "{nonsense"), r"train\.jsonl cannot be read"),
    "unknown gold label": (
        add("train.jsonl", '{"label": "goood", "text": "x"}\n'),
        r"train\.jsonl, row 41.*'goood'.*'good'",
    ),
    "empty gold text": (
        add("test.jsonl", '{"label": "good", "text": " "}\n'),
        r"test\.jsonl, row 31.*'text' is empty",
    ),
    "missing gold field": (add("test.jsonl", '{"label": "good"}\n'), r"row 31.*'text'"),
    "absent split": (edit(TASK, 'validation = "validation.jsonl"', ""), r"no validation split"),
    "misnamed split": (edit(TASK, "validation =", "valid ="), r"splits\.valid"),
    "too large a quantity": (
        edit(STUDY, "[0, 8, 24]", "[8, 402]"),
        r"quantity 402 needs 201 rows of 'bad', but only 200 are recorded",
    ),
    "too many real rows": (edit(STUDY, "[0, 10]", "[41]"), r"real is 41, but .* only 40"),
    "reserved column": (add(STUDY, BUNDLE.format("accuracy")), r"'accuracy' is reserved"),
    "taken name": (
        add(STUDY, BUNDLE.format("shots")),
        r"'shots' is reserved, as the name of a field",
    ),
    "unset variable": (
        edit(STUDY, '"records.jsonl"', '"${TEXTMILL_NOWHERE}/records.jsonl"'),
        r"\$\{TEXTMILL_NOWHERE\} is not set",
    ),
    "missing model folder": (edit(STUDY, "./model", "./mondel"), r"mondel.*no such folder"),
    "model not on this machine": (
        edit(STUDY, "./model", "nobody/nothing"),
        r"nobody/nothing.*HF_HUB_OFFLINE.*hf download",
    ),
    "no records": (
        edit(STUDY, 'records = "records.jsonl"', ""),
        r"say which, with generate\.records",
    ),
    "more shots than rows": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "few_shot"\nshots = 41'),
        r"shots is 41, but there are only 40",
    ),
    "too few words": (add(STUDY, "[curate]\nmin_words = 9\nmax_words = 3\n"), r"min_words is 9"),
    "section that is none": (edit(STUDY, "[train]", "[[train]]"), r"train is \[.*it is a section"),
    "no engine at all": (edit(STUDY, '"recorded"', '"json:dumps"'), r"'json:dumps' is no engine"),
    "half an engine's name": (edit(STUDY, '"recorded"', '":Slow"'), r"'package\.module:Name'"),
    "unset variable in the task": (
        edit(STUDY, '"task.toml"', '"${TEXTMILL_NOWHERE}/task.toml"'),
        r"task is .*TEXTMILL_NOWHERE\} is not set",
    ),
    "broken template": (edit(STUDY, *TEMPLATE("a {", "b")), r"generate\.templates\.bad: 'a \{'"),
    "unnamed slot": (edit(STUDY, *TEMPLATE("a {}", "b")), r"no values for the slots \[''\]"),
    "escaping name": (edit(STUDY, '"toy"', '"../toy"'), r"name is '\.\./toy'"),
    "a task twice": (
        edit(STUDY, '"task.toml"', '["task.toml", "task.toml"]'),
        r"task names 'toy' twice",
    ),
    "no task in the list": (edit(STUDY, '"task.toml"', "[]"), r"task is \[\].*at least 1"),
    "splits of several tasks together": (
        edit(STUDY, '"task.toml"', '["task.toml", "sst2"]\nsplits = {train = "train.jsonl"}'),
        r"splits must say for which of the tasks: \[splits\.toy\]",
    ),
    "splits of a task that is not there": (
        add(STUDY, '[splits.tory]\ntrain = "train.jsonl"\n'),
        r"neither a split nor a task 'tory'.*Did you mean 'toy'",
    ),
    "a misspelt split": (
        add(STUDY, '[splits]\ntrian = "train.jsonl"\n'),
        r"splits\.trian.*'train', 'validation' or 'test'",
    ),
    "the task as a factor of one's own": (
        edit(STUDY, "real = [0, 10]", 'real = [0, 10]\ntask = ["sst2"]'),
        r"several tasks are named with task = \[\.\.\.\] at the top",
    ),
    "an unknown way of labelling": (
        edit(STUDY, '"recorded"', '"verbatim"\nlabelling = "left"'),
        r"generate\.labelling is 'left'.*'left_to_right'",
    ),
    "no topics to be listed": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "topic"\ntopics = {write = 0}'),
        r"generate\.topics\.write is 0.*greater than or equal to 1",
    ),
    "topics that are neither": (
        edit(STUDY, '"recorded"', '"verbatim"\nstrategy = "topic"\ntopics = {read = 5}'),
        r"unknown key 'generate\.topics\.read'\. Known: write",
    ),
    "rephrasing by the toy": (
        edit(STUDY, '"recorded"', '"transformers"\nrephrase = true'),
        r"generate\.model is 'textmill-demo', a toy",
    ),
    "no epochs": (edit(STUDY, "steps = 6", "epochs = 0"), r"train\.epochs is 0.*greater than 0"),
    "calls for one text": (
        add(TASK, '\n[wording.calls]\nfirst = "a"\nfield = "text"\nsecond = "b {label}"\n'),
        r"wording\.calls is for pairs",
    ),
    "a second call without the label": (
        add(TASK, '\n[wording.calls]\nfirst = "a"\nfield = "text"\nsecond = "b"\n'),
        r"wording\.calls\.second is 'b': it shows neither",
    ),
    "a first call with a label": (
        add(TASK, '\n[wording.calls]\nfirst = "a {label}"\nfield = "text"\nsecond = "b {label}"\n'),
        r"wording\.calls\.first is 'a \{label\}': it has the slots \['label'\]; it can have none",
    ),
    "rephrasing what is not shown": (
        edit(TASK, "[wording]", '[wording]\nrephrase = "Again."'),
        r"wording\.rephrase.*its one slot must be \{text\}",
    ),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_refused_before_anything_starts(toy, textmill, case, command):
    change, says = CASES[case]
    change(toy)
    before = {path: path.read_bytes() for path in toy.rglob("*") if path.is_file()}
    status, out, err = textmill(command, "study.toml", "--root", "root")
    assert status == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert re.search(says, err, re.DOTALL), err
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in toy.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.stepz=5", r"'train\.stepz'.*'train\.steps'"),
        ("stepz=5", r"'stepz'.*'steps'"),
        ("train.steps", r"write --set key=value"),
        ("train.steps=many", r"train\.steps is 'many'"),
        ("quantity=5", r"mix\.quantity is a factor.*factors\.quantity"),
        ("resources.gpuz=1", r"unknown key 'resources\.gpuz'"),
        ("resources.engine_resources={CPU = 2}", "no CPU here: CPUs and GPUs have fields"),
        ("resources.fleet_resources={place = 1.5}", "Ray takes fractions below 1 only"),
    ],
)
def test_a_wrong_override_is_refused(textmill, override, says):
    status, _, err = textmill("run", "study.toml", "--root", "root", "--set", override)
    assert status == 2
    assert re.search(says, err), err


SEARCHES = {
    "nothing to search": ([], r"nothing to search: \[factors\] has no factor besides quantity"),
    "rungs that fall": (["search.rungs=[24, 8]"], r"search\.rungs.*rungs rise, but 8 comes after"),
    "quantities that fall": (["factors.quantity=[24, 8]"], r"rungs rise, but 8 comes after 24"),
    "a range on a category": (
        ["factors.strategy={low = 1, high = 2}"],
        r"'strategy' is a range, but generate\.strategy is no number",
    ),
    "a range that the field refuses": (
        ["factors.label_smoothing={low = 0.5, high = 2.0}"],
        r"label_smoothing is 2\.0",
    ),
    "an unknown objective": (
        ["factors.batch_size=[4, 8]", "search.objectives=['score', 'beauty']"],
        r"search\.objectives.*beauty.*'score'",
    ),
    "an unknown sampler": (
        ["factors.batch_size=[4, 8]", "search.sampler=bayes"],
        r"search\.sampler is 'bayes'",
    ),
    "a start that is no trial": (
        ["factors.batch_size=[4, 8]", "search.start_from=[{batch_size = 5}]"],
        r"start_from: batch_size has no level 5",
    ),
    "more rows than are recorded": (
        ["factors.batch_size=[4, 8]", "search.rungs=[8, 1000]"],
        r"quantity 1000 needs 500 rows of 'bad', but only 200 are recorded",
    ),
    "a model that is not there": (
        ['factors."train.model"=["./model", "./nowhere"]'],
        r"train\.model is .*nowhere",
    ),
}


@pytest.mark.parametrize("case", SEARCHES)
def test_a_wrong_search_is_refused_before_ray_starts(toy, textmill, monkeypatch, case):
    import ray

    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was started"))
    edit(STUDY, "real = [0, 10]", "")(toy)
    changes, says = SEARCHES[case]
    words = [word for change in changes for word in ("--set", change)]
    status, _, err = textmill("search", "study.toml", "--root", "root", *words)
    assert status == 2, err
    assert re.search(says, err), err
    assert not (toy / "root").exists()


def test_a_range_is_for_a_search_alone(textmill):
    words = ["--set", "factors.batch_size={low = 4, high = 8}"]
    status, _, err = textmill("run", "study.toml", "--root", "root", *words)
    assert status == 2
    assert "'batch_size' is a range, which only `textmill search` can try" in err


@pytest.mark.parametrize("command", ["status", "report"])
def test_the_other_commands_refuse_it_as_well(toy, textmill, command):
    edit(STUDY, "steps", "stepz")(toy)
    assert textmill(command, "study.toml", "--root", "root")[0] == 2
    assert not (toy / "root").exists()


def test_overrides_change_the_study(textmill):
    words = ["--set", "repeats=4", "--set", "factors.quantity=[6]", "--set", "train.steps=3"]
    status, out, _ = textmill("plan", "study.toml", "--root", "root", "--json", *words)
    assert status == 0
    assert len(json.loads(out)["steps"]) == 2 + 2 * 4


def test_a_missing_study_is_refused(textmill):
    status, _, err = textmill("run", "nowhere.toml")
    assert (status, err) == (2, "error: There is no file nowhere.toml.\n")


def test_a_root_that_cannot_be_written_is_refused(toy, textmill):
    (toy / "file").write_text("")
    for root in ("file", "file/below", "/proc/nowhere"):
        status, _, err = textmill("run", "study.toml", "--root", root)
        assert status == 2
        assert "--root" in err


def test_an_unknown_command_or_flag_is_refused(textmill):
    assert textmill("rnu", "study.toml")[0] == 2
    assert textmill("run", "study.toml", "--roof", "x")[0] == 2


def test_tasks_shows_labels_wording_and_prompts(textmill):
    status, out, _ = textmill("tasks", "task.toml")
    assert status == 0
    for part in ("bad", "the visitor liked it", "test.jsonl", "Write one bad review", "Verdict:"):
        assert part in out
    assert "sst2" in textmill("tasks")[1]
    status, _, err = textmill("tasks", "sst3")
    assert (status, "Did you mean 'sst2'" in err) == (2, True)
