"""The flow in one screen: what ``textmill run`` does. The file to read first.

    task -> study -> plan -> prompts -> generate -> curate -> mix -> train -> evaluate
    -> diagnose -> report

Every stage reads files of the store and commits files to it. Nothing here holds state that a
killed process would lose: each round looks at the store anew and makes what is missing.
"""

import contextlib
from collections.abc import Callable, Sequence

from engine.diagnose.examine import Examined, examine_all
from engine.errors import EngineLostError
from engine.findings.findings import Findings
from engine.findings.gather import find
from engine.make.fill import fill_views
from engine.make.make import Lazily, make
from engine.make.mend import mend, mending
from engine.make.references import write_references
from engine.make.training import Training
from engine.plan.plan import Plan
from engine.progress import Progress, Watch
from engine.report.write import write_report
from engine.status.files import damaged_files, files_of
from engine.status.spent import taken
from engine.status.survey import survey
from engine.status.versions import other_rows, told
from engine.steps.examination import Examination
from engine.store.segments import SMALLEST
from engine.store.store import Store
from engine.train.queue import Finished


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
    for found in list(damaged_files(files_of(plan, store), store)):  # before any is mended
        mend(found, store, watch)
    with contextlib.ExitStack() as stack:
        ray_needed = Lazily(stack, plan.file.study.resources)
        for line in told(other_rows(plan, store)):
            watch(Progress("generate", 0, 0, note=line))
        return mending(store, watch, lambda: _round(plan, store, watch, ray_needed))


def _round(plan: Plan, store: Store, watch: Watch, ray_needed: Callable[[], None]) -> Findings:
    with Training(plan, store, watch) as training:
        failed, filled = make(plan, store, watch, ray_needed, training)
    undiagnosed = diagnose(survey(plan, store).unexamined(), store, watch, ray_needed)
    return write_results(plan, store, [*failed, *undiagnosed], filled.troubles)


def write_results(
    plan: Plan,
    store: Store,
    failed: Sequence[Finished | Examined] = (),
    troubles: Sequence[str] = (),
) -> Findings:
    """Write the report of what is there, and return it.

    Args:
        plan: The study's steps.
        store: The root.
        failed: Runs and diagnoses that failed just now.
        troubles: What else went wrong just now, a sentence each.

    Raises:
        DamagedError: A file of a view, a run or a diagnosis is damaged.
    """
    now = survey(plan, store)
    findings = find(plan, now, store, failed, troubles)
    write_references(plan, now, store)
    write_report(findings, store)
    return findings


def diagnose(
    missing: Sequence[Examination], store: Store, watch: Watch, ray_needed: Callable[[], None]
) -> list[Examined]:
    """Look at the rows of views; return what came to nothing.

    Raises:
        DamagedError: A file is damaged, or rows changed since the examination was planned.
    """
    if not missing:
        return []
    ray_needed()
    watch(Progress("diagnose", len(missing), 0))
    failed = []
    for done, one in enumerate(examine_all(store, missing), start=1):
        if one.damage:
            raise one.damage
        failed += [one] if one.failure else []
        watch(Progress("diagnose", len(missing), done, note=one.failure or ""))
    return failed


def make_pilot(plan: Plan, store: Store, ray_needed: Callable[[], None] = lambda: None) -> int:
    """Make and judge the first rows of every recipe that has none; they are kept and used.

    Args:
        plan: The study's steps.
        store: The root.
        ray_needed: Called before Ray is used.

    Returns:
        How many were made.

    Raises:
        InputError: A recipe cannot be made.
        EngineLostError: An engine does not work, or the budget bears none of it.
    """
    before = taken(plan.pools, store).rows
    filled = fill_views(plan, store, lambda _: None, ray_needed, most=SMALLEST)
    if filled.troubles:
        raise EngineLostError(filled.troubles[0])
    return int(taken(plan.pools, store).rows - before)
