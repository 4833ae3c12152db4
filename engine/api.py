"""The names that plug-ins and scripts of your own may rely on; all else in ``engine`` can change.

    from engine.api import Study

    study = Study.from_file("study.toml")
    study.run()
    study.results()     # a pandas DataFrame: a row for each repeat and split

What ``plan``, ``run`` and ``report`` do, ``Study`` does, with tables and paths in place of what
they print.

    from engine.api import Asked, ConfigError, request

A strategy, a row filter, an engine or a trainer is a class in a module of yours, which a study
names as ``"module:Name"``. What each must have, and may, stands in its protocol: ``Strategy``,
``RowFilter``, ``TextEngine``, ``Trainer``. `jobs/studies/bike-shop/` has an example of three.

A plan asks plug-ins what they read, so importing this loads neither Ray nor torch nor transformers.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.curate.filter import Candidate, Context, RowFilter
from engine.errors import (
    ConfigError,
    DamagedError,
    DataError,
    EngineLostError,
    FormatError,
    InputError,
    ModelError,
    NoMemoryError,
    PluginError,
    RootError,
    RunFailedError,
    TextmillError,
    TrainingError,
    UnwritableError,
)
from engine.generate.engine import Completion, Prompt, Setup, TextEngine
from engine.make.progress import Progress, Watch
from engine.models import Model, resolve_adapter, resolve_file, resolve_model
from engine.nodes import environment as _environment
from engine.plan.plan import Plan
from engine.plan.plan import make_plan as _make_plan
from engine.prompts.phrases import answer_form, examples, listed, request
from engine.prompts.strategy import Asked, Shot, Strategy
from engine.status.steps import Step
from engine.status.steps import steps as _steps
from engine.status.survey import Survey
from engine.status.survey import survey as _survey
from engine.steps.mix import Example
from engine.steps.pool import Pool
from engine.steps.run import Run
from engine.store.schema import Draws, RowId
from engine.store.store import Store
from engine.study.config import CurateConfig, GenerateConfig, TrainConfig
from engine.study.load import load_study as _load_study
from engine.study.resources import Resources
from engine.tasks.task import Split, Task
from engine.train.trainer import Hardware, RowSet, Trained, Trainer
from engine.train.world import World

if TYPE_CHECKING:
    import pandas as pd

    from engine.findings.findings import Findings

__all__ = [
    "Asked",
    "Candidate",
    "Completion",
    "ConfigError",
    "Context",
    "CurateConfig",
    "DamagedError",
    "DataError",
    "Draws",
    "EngineLostError",
    "Example",
    "FormatError",
    "GenerateConfig",
    "Hardware",
    "InputError",
    "Model",
    "ModelError",
    "NoMemoryError",
    "Plan",
    "PluginError",
    "Pool",
    "Progress",
    "Prompt",
    "Resources",
    "RootError",
    "RowFilter",
    "RowId",
    "RowSet",
    "Run",
    "RunFailedError",
    "Setup",
    "Shot",
    "Split",
    "Step",
    "Store",
    "Strategy",
    "Study",
    "Survey",
    "Task",
    "TextEngine",
    "TextmillError",
    "TrainConfig",
    "Trained",
    "Trainer",
    "TrainingError",
    "UnwritableError",
    "Watch",
    "World",
    "answer_form",
    "examples",
    "listed",
    "request",
    "resolve_adapter",
    "resolve_file",
    "resolve_model",
]


class Study:
    """A study, for scripts and notebooks.

    Args:
        plan: The study's steps.
        store: The root, which holds all work.

    Attributes:
        steps: The study's steps, as they were planned.
        store: The root.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.steps, self.store = plan, store

    @classmethod
    def from_file(
        cls, path: str | Path, overrides: Sequence[str] = (), *, root: str | Path | None = None
    ) -> Self:
        """Read and plan a study.

        Args:
            path: The study file.
            overrides: Settings in place of the file's, such as ``"train.steps=50"``.
            root: The folder, or the URL of an object store's prefix, that holds all work;
                ``TEXTMILL_ROOT`` if None, or else ``textmill-out`` in the folder of this process.

        Raises:
            InputError: Anything about the study, its data, its models or the root is wrong.
        """
        if root is None:
            root = os.environ.get("TEXTMILL_ROOT") or Store.DEFAULT_ROOT
        store = Store.open(str(root))  # first: a root that cannot be one costs no planning
        return cls(_make_plan(_load_study(Path(path), overrides)), store)

    def survey(self) -> Survey:
        """Look what of the study is there; changes nothing.

        Raises:
            DamagedError: A file that it had to read is damaged.
        """
        return _survey(self.steps, self.store)

    def plan(self) -> "pd.DataFrame":
        """Return what would be made, what is reused, and why; changes nothing.

        Returns:
            A row for each step, with the fields of ``Step`` as columns.

        Raises:
            DamagedError: A file that it had to read is damaged.
        """
        import pandas as pd  # here, as in what follows: a plug-in needs none of what results need

        return pd.DataFrame([asdict(step) for step in _steps(self.survey())])

    def run(self, progress: Watch | None = None) -> "Findings":
        """Do what is missing of the study, or go on with it, and write its results.

        Args:
            progress: Called with all ``Progress``; nobody is told if None.

        Returns:
            What came of it; its ``problems`` list what failed or fell short, a sentence each.

        Raises:
            InputError: The cluster has no room for an engine or a worker, or the root cannot be
                written.
            TextmillError: Nothing was left that works.
        """
        _environment.set_up()  # before Ray is imported
        from engine.pipeline import run_study

        return run_study(self.steps, self.store, progress or (lambda _: None))

    def make_pilot(self) -> int:
        """Make and judge the first rows of every recipe that has none; they are kept and used.

        Returns:
            How many were made.

        Raises:
            InputError: A recipe cannot be made.
            EngineLostError: An engine does not work, or the budget bears none of it.
        """
        _environment.set_up()
        from engine.pipeline import make_pilot

        return make_pilot(self.steps, self.store)

    def write_report(self) -> "Findings":
        """Write the results again from what is there.

        Raises:
            RootError: The root cannot be written.
            DamagedError: A file of a view, a run or a diagnosis is damaged.
        """
        _environment.set_up()
        from engine.pipeline import report_study

        return report_study(self.steps, self.store)

    def results(self) -> "pd.DataFrame":
        """Return the scores that are there; changes nothing.

        Returns:
            A row for each repeat of each condition and split, with the columns of the report's
            ``results.parquet``.

        Raises:
            DamagedError: A file of a view or a run is damaged.
        """
        from engine.findings.gather import gather
        from engine.report.tables import results_table

        frame: pd.DataFrame = results_table(gather(self.survey(), {}, [])).to_pandas()
        return frame

    def rows(self) -> "pd.DataFrame":
        """Return every synthetic row that is judged, accepted or refused; changes nothing.

        Returns:
            A row for each, in the order of views, slots and indices: the view's ``view`` name and
            the columns of its files, among them ``label``, ``text``, ``status`` and ``reason``.

        Raises:
            DamagedError: A file of a view is damaged.
        """
        import pandas as pd

        from engine.plan.names import view_name
        from engine.store.schema import VIEW

        frames = [pd.DataFrame(columns=["view", *VIEW.names])]
        for view in self.steps.views:
            for segments in view.segments(self.store).values():
                for segment in segments:
                    table = self.store.table(f"{view.folder}/{segment.name}").table
                    frame = table.to_pandas()
                    frame.insert(0, "view", view_name(self.steps, view))
                    frames.append(frame)
        return pd.concat(frames[1:] or frames, ignore_index=True)

    @property
    def report(self) -> Path | str:
        """Where the report's page lies: a path, or a URL where the root is one.

        Raises:
            RootError: There is none yet.
        """
        name = f"studies/{self.steps.file.study.name}/report.html"
        if not self.store.has(name):
            raise RootError(
                f"{self.store.location(name)} is not there: the study has no report yet. "
                "Study.run() and Study.write_report() write it."
            )
        place = self.store.location(name)
        return place if "://" in place else Path(place)
