"""What a study takes with it to a cluster, and what is refused before anything is sent."""

from pathlib import Path

import pytest

from engine.errors import ConfigError, RootError
from jobs.remote import parcel as parcels
from jobs.remote.client import check_root, job_name
from jobs.remote.parcel import parcel

ITS_OWN = {"study.toml", "task.toml", "train.jsonl", "validation.jsonl", "test.jsonl"}


def sent(packed):
    return {str(name) for name in packed.files}


def change(toy, old, new):
    study = toy / "study.toml"
    assert old in study.read_text()
    study.write_text(study.read_text().replace(old, new))


def test_what_the_study_and_its_task_name_goes_along_and_modules_do(toy):
    (toy / "mine.py").write_text("")
    for other in ("notes.md", "textmill-out/pools/a.parquet", ".venv/lib/b.py", "env/bin/c.py"):
        (toy / other).parent.mkdir(parents=True, exist_ok=True)
        (toy / other).write_text("x")
    (toy / "env" / "pyvenv.cfg").write_text("")
    model = {f"model/{path.name}" for path in (toy / "model").iterdir()}
    assert sent(parcel(toy / "study.toml", ())) == {*ITS_OWN, "records.jsonl", "mine.py", *model}


def test_what_is_packed_is_there_when_it_is_unpacked_and_plans_the_same(toy, tmp_path):
    packed = parcel(toy / "study.toml", ())
    packed.unpack(tmp_path / "there")
    again = parcel(tmp_path / "there" / "study.toml", ())
    assert sent(again) == sent(packed)
    assert job_name(again, "s3://root") == job_name(packed, "s3://root")  # wherever it lies


def test_more_files_go_along_if_they_are_asked_for(toy):
    (toy / "words").mkdir()
    (toy / "words" / "cities.txt").write_text("Rome")
    assert "words/cities.txt" in sent(parcel(toy / "study.toml", (), patterns=["words/*"]))


@pytest.mark.parametrize("place", ["../elsewhere.jsonl", "{folder}/elsewhere.jsonl"])
def test_a_file_that_the_cluster_would_not_find_is_refused_with_advice(toy, place):
    place = place.format(folder=toy.parent)
    change(toy, '"records.jsonl"', f'"{place}"')
    with pytest.raises(ConfigError, match=r"not in its folder(.|\n)*elsewhere(.|\n)*--shared"):
        parcel(toy / "study.toml", ())


def test_what_a_factor_names_goes_along_or_is_refused_too(toy):
    text = (toy / "study.toml").read_text()
    levels = '\n[[factors.generator]]\nname = "a"\nrecords = "{}"\n'
    (toy / "study.toml").write_text(text + levels.format("more/own.jsonl"))
    (toy / "more").mkdir()
    (toy / "records.jsonl").rename(toy / "more" / "own.jsonl")
    change(toy, 'records = "records.jsonl"\n', "")
    assert "more/own.jsonl" in sent(parcel(toy / "study.toml", ()))
    change(toy, "more/own.jsonl", "../own.jsonl")
    with pytest.raises(ConfigError, match=r"not in its folder(.|\n)*\.\./own"):
        parcel(toy / "study.toml", ())


def test_what_is_named_and_not_there_is_refused(toy):
    (toy / "records.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"names records\.jsonl, and there is no"):
        parcel(toy / "study.toml", ())


def test_a_built_in_task_has_its_topics_there(tmp_path):
    study = """
        name = "x"
        task = "demo-reviews"
        [factors]
        strategy = ["topic"]
        quantity = [10]
        """
    (tmp_path / "study.toml").write_text(study)
    assert sent(parcel(tmp_path / "study.toml", ())) == {"study.toml"}
    (tmp_path / "study.toml").write_text(study.replace("demo-reviews", "emotion"))
    assert sent(parcel(tmp_path / "study.toml", ())) == {"study.toml"}


def test_what_every_node_sees_stays_where_it_is(toy, tmp_path):
    change(toy, '"records.jsonl"', f'"{tmp_path}/mounted/records.jsonl"')
    packed = parcel(toy / "study.toml", (), shared=[tmp_path / "mounted"])
    assert "records.jsonl" not in sent(packed)


def test_a_large_upload_is_refused_and_its_large_files_are_named(toy, monkeypatch):
    monkeypatch.setattr(parcels, "MOST_BYTES", 50_000)
    with pytest.raises(ConfigError, match=r"more than 0:(.|\n)* MB  records\.jsonl(.|\n)*--shared"):
        parcel(toy / "study.toml", ())


def test_variables_that_paths_name_go_along_with_those_that_are_asked_for(
    toy, tmp_path, monkeypatch
):
    change(toy, '"records.jsonl"', '"${DATA}/records.jsonl"')
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.setenv("CITY", "Rome")
    monkeypatch.setenv("OTHER", "no")
    packed = parcel(toy / "study.toml", (), shared=[tmp_path], variables=["CITY"])
    assert packed.variables == {"DATA": str(tmp_path), "CITY": "Rome"}
    with pytest.raises(ConfigError, match="UNSET is not set"):
        parcel(toy / "study.toml", (), shared=[tmp_path], variables=["UNSET"])


@pytest.mark.parametrize("name", ["HF_TOKEN", "OPENAI_API_KEY", "RAY_AUTH_TOKEN", "MY_SECRET"])
def test_a_secret_does_not_go_with_a_job(toy, monkeypatch, name):
    monkeypatch.setenv(name, "xyzzy")
    with pytest.raises(ConfigError, match="looks like a secret") as refused:
        parcel(toy / "study.toml", (), variables=[name])
    assert "xyzzy" not in str(refused.value)


def test_a_job_has_another_name_for_other_files_settings_and_roots(toy):
    names = [job_name(parcel(toy / "study.toml", ()), "s3://root")]
    names.append(job_name(parcel(toy / "study.toml", ()), "s3://other"))
    names.append(job_name(parcel(toy / "study.toml", ["train.steps=7"]), "s3://root"))
    with (toy / "records.jsonl").open("a") as file:
        file.write('{"label": "good", "text": "one more"}\n')
    names.append(job_name(parcel(toy / "study.toml", ()), "s3://root"))
    assert len(set(names)) == len(names)
    assert all(name.startswith("textmill-toy-") for name in names)


def test_a_root_must_be_one_that_all_nodes_see(tmp_path):
    assert check_root("s3://bucket/root", []) == "s3://bucket/root"
    assert check_root(f"{tmp_path}/out", [tmp_path]) == f"{tmp_path}/out"
    for root in ("textmill-out", "/elsewhere/out"):
        with pytest.raises(RootError, match="every node sees"):
            check_root(root, [Path(tmp_path)])
