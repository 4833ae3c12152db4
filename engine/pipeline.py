"""The flow in one screen: what ``textmill run`` does. The file to read first.

    task -> study -> plan -> prompts -> generate -> curate -> mix -> train -> evaluate -> report

Every stage reads files of the store and commits files to it. Nothing here holds state that a
killed process would lose: each round looks at the store anew and makes what is missing.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.curate.stage import Curated, curate, is_current
from engine.curate.view import View
from engine.errors import DamagedError
from engine.generate.stage import Made, Want, generate
from engine.outcome import find, write_references
from engine.plan import Plan
from engine.report.findings import Findings
from engine.report.stage import write_report
from engine.session import ray_session
from engine.store import Store
from engine.study.config import Resources
from engine.survey import damaged_files, survey, wants
from engine.train.fleet import Finished, check_fleet, train_fleet
from engine.train.run import Run


class Progress(NamedTuple):
    """Something was done.

    Attributes:
        stage: "generate", "curate", "train", or "mend" for a file that was damaged.
        total: What the stage has to do this time, in rows or runs.
        done: What it has done of that.
        tokens: Completion tokens among it; 0 where none are counted.
        note: Something to say, or "".
    """

    stage: str
    total: int
    done: int
    tokens: int = 0
    note: str = ""


Watch = Callable[[Progress], None]


def run_study(plan: Plan, store: Store, watch: Watch) -> Findings:
    """Do what is missing of a study, and write its results.

    Args:
        plan: The study's steps.
        store: The root.
        watch: Told of all progress.

    Returns:
        What came of it; it lists what failed or fell short.

    Raises:
        RootError: The root cannot be written.
    """
    store.probe()
    for name in damaged_files(plan, store):
        mend(name, store, watch, "its bytes do not agree with its checksum")
    mended: set[str] = set()
    with contextlib.ExitStack() as stack:
        ray_needed = _Lazily(stack, plan.file.study.resources)
        while True:
            try:
                return _round(plan, store, watch, ray_needed)
            except DamagedError as damage:
                if damage.name in mended:
                    raise
                mended.add(damage.name)
                mend(damage.name, store, watch, str(damage))


def mend(name: str, store: Store, watch: Watch, why: str) -> None:
    """Set a damaged file aside; whoever needs it finds it missing, and makes it again."""
    store.set_aside(name)
    watch(Progress("mend", 1, 1, note=f"{name} is set aside and made again: {why}"))


def _round(plan: Plan, store: Store, watch: Watch, ray_needed: Callable[[], None]) -> Findings:
    publish_inputs(plan, store)
    write_references(plan, survey(plan, store), store)  # first, so that nobody cleans them away
    fill_views(plan, store, watch, ray_needed)
    now = survey(plan, store)
    write_references(plan, now, store)
    failed: list[Finished] = []
    if missing := now.missing():
        ray_needed()
        failed = train_runs(missing, plan, store, watch)
    return write_results(plan, store, failed)


class _Lazily:
    """Starts Ray when it is first needed: a study that is done already needs none."""

    def __init__(self, stack: contextlib.ExitStack, where: Resources) -> None:
        self._stack, self._where, self._is_up = stack, where, False

    def __call__(self) -> None:
        if not self._is_up:
            self._stack.enter_context(ray_session())
            check_fleet(self._where)
            self._is_up = True


def write_results(plan: Plan, store: Store, failed: Sequence[Finished] = ()) -> Findings:
    """Write the report of what is there, and return it.

    Raises:
        DamagedError: A file of a view or a run is damaged.
    """
    now = survey(plan, store)
    findings = find(plan, now, store, failed)
    write_references(plan, now, store)
    write_report(findings, store)
    return findings


def publish_inputs(plan: Plan, store: Store) -> None:
    """Put the rows that workers read into the store."""
    for rows in plan.inputs():
        rows.publish(store)


def fill_views(plan: Plan, store: Store, watch: Watch, ray_needed: Callable[[], None]) -> None:
    """Extend pools and judge their rows, in turns, until every quota is met or given up."""
    while True:
        outdated = [view for view in plan.views if not is_current(store, view)]
        if outdated:
            ray_needed()
            curate_views(outdated, plan, store, watch)
        missing = wants(plan, store)
        if missing:
            ray_needed()
            generate_rows(missing, plan, store, watch)
        elif not outdated:
            return


def generate_rows(missing: Sequence[Want], plan: Plan, store: Store, watch: Watch) -> None:
    """Make segments of pools, and report progress."""
    total = sum(want.rows for want in missing)
    done = tokens = 0
    watch(Progress("generate", total, 0))

    def made(segment: Made) -> None:
        nonlocal done, tokens
        done, tokens = done + segment.rows, tokens + segment.tokens
        watch(Progress("generate", total, done, tokens))

    generate(missing, store, plan.file.study.resources, made)


def curate_views(outdated: Sequence[View], plan: Plan, store: Store, watch: Watch) -> None:
    """Bring views up to date, and report progress."""
    publish_inputs(plan, store)  # again: a damaged file of gold rows may have been set aside
    total = sum(len(view.pool.slots) for view in outdated)
    done = 0
    watch(Progress("curate", total, 0))

    def made(curated: Curated) -> None:
        nonlocal done
        done += 1
        notes = [f"{name} was damaged and is made again" for name in curated.damaged]
        watch(Progress("curate", total, done, note="; ".join(notes)))

    curate(outdated, store, made)


def train_runs(missing: Sequence[Run], plan: Plan, store: Store, watch: Watch) -> list[Finished]:
    """Train runs, report progress, and return those that failed."""
    total, finished = len(missing), list[Finished]()
    watch(Progress("train", total, 0))

    def heard(one: Finished) -> None:
        finished.append(one)
        note = f"{one.run.label} failed: {one.failure}" if one.failure else ""
        watch(Progress("train", total, len(finished), note=note))

    train_fleet(missing, store, plan.file.study.resources, heard)
    return [one for one in finished if one.failure]
