"""The winner of a search as a study file of its own."""

from typing import Any

import tomli_w

from engine.search.search import SearchResult
from engine.search.trial_book import Measured, Trial
from engine.study.study import SECTIONS
from engine.tasks.toml_files import resolve

LEFT_OUT = {"factors", "search", "exclude", "published", "diagnose", "baseline"}


def winning_study(result: SearchResult, trial: Trial, measured: Measured) -> str:
    """Return a study of one condition, a trial at one of its rungs, as TOML.

    Its paths are absolute, for the file may lie anywhere; under the same root all of it is there.

    Args:
        result: What the search came to.
        trial: The trial.
        measured: The rung.
    """
    file, condition = result.file, result.asked[trial.number, measured.rows]
    study = file.study
    document: dict[str, Any] = study.model_dump(
        mode="json", exclude_unset=True, exclude_none=True, exclude=LEFT_OUT
    )
    document["name"] = f"{study.name}-best"[:80]
    task = study.task[0]
    is_file = task.endswith(".toml")
    document["task"] = str(resolve(task, file.folder)) if is_file else task
    document["repeats"], document["replicates"] = study.repeats, study.replicates
    fields = {
        field
        for factor in result.space.dimensions
        if factor.name in trial.point
        for field in factor.choice(trial.point[factor.name]).settings
    }
    configs: dict[str, Any] = {name: getattr(condition, name) for name in SECTIONS}
    for field in sorted({*fields, "mix.quantity"}):
        section, _, name = field.partition(".")
        value = configs[section].model_dump(mode="json", exclude_none=True).get(name)
        if value is not None:
            document.setdefault(section, {})[name] = value
    document = {name: value for name, value in document.items() if value != {}}
    plain = {name: value for name, value in document.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in document.items() if isinstance(value, dict)}
    head = (
        f"# Trial {trial.number} of the search {study.name!r}, at {measured.rows} synthetic rows: "
        "the best on validation.\n"
    )
    return head + tomli_w.dumps({**plain, **tables})
