"""The flow in one screen: what ``textmill run`` does. The file to read first.

    task -> study -> plan -> prompts -> generate -> curate -> mix -> train -> evaluate
    -> diagnose -> report

Every stage reads files of the store and commits files to it. Nothing here holds state that a
killed process would lose: each round looks at the store anew and makes what is missing.
"""

import contextlib
from collections.abc import Mapping, Sequence

from engine.diagnose.examine import examine_all
from engine.errors import EngineLostError
from engine.findings.findings import Findings
from engine.findings.gather import gather
from engine.make.fill import fill_views
from engine.make.make import make, prepare
from engine.make.mend import mend, mending
from engine.make.progress import Progress, Watch
from engine.make.references import write_references
from engine.make.training import Training
from engine.make.work import ExecutorOnDemand, Work
from engine.plan.plan import Plan
from engine.report.write import update_report, write_report
from engine.status.files import damaged_files, files_of
from engine.status.spent import taken
from engine.status.survey import Survey, survey
from engine.status.versions import notices, other_rows
from engine.steps.examination import Examination
from engine.store.segments import SMALLEST
from engine.store.store import Store


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
    for damage in list(damaged_files(files_of(plan, store), store)):  # before any is mended
        mend(damage, store, watch)
    with contextlib.ExitStack() as stack:
        executor = ExecutorOnDemand(stack, plan, lambda: survey(plan, store), watch)
        work = Work(plan, store, watch, executor)
        for line in notices(other_rows(plan, store)):
            watch(Progress("generate", 0, 0, note=line))
        return mending(store, watch, lambda: _round(work))


def _round(work: Work) -> Findings:
    with Training(work) as training:
        making = make(work, training)
    failures = {**making.failures, **diagnose(work, making.now.unexamined())}
    now = making.now.after_work(work.store)
    return write_results(now, work.store, failures, making.filled.troubles)


def write_results(
    now: Survey,
    store: Store,
    failures: Mapping[str, str] | None = None,
    troubles: Sequence[str] = (),
) -> Findings:
    """Write the report of what is there, unless it is written, and return it.

    Args:
        now: What is there of the study.
        store: The root.
        failures: Why runs and diagnoses failed just now, by their files.
        troubles: What else went wrong just now, a sentence each.

    Raises:
        DamagedError: A file of a view, a run or a diagnosis is damaged.
    """
    findings = gather(now, failures or {}, troubles)
    update_report(findings, store)
    return findings


def report_study(plan: Plan, store: Store) -> Findings:
    """Write a study's results again from what is there of them.

    Raises:
        RootError: The root cannot be written.
        DamagedError: A file of a view, a run or a diagnosis is damaged.
    """
    store.probe()
    now = survey(plan, store)
    write_references(now, store)
    findings = gather(now, {}, ())
    write_report(findings, store)
    return findings


def diagnose(work: Work, missing: Sequence[Examination]) -> dict[str, str]:
    """Look at the rows of views; return why some came to nothing, by their files.

    Raises:
        DamagedError: A file is damaged, or rows changed since the examination was planned.
    """
    if not missing:
        return {}
    executor = work.executor()
    work.watch(Progress("diagnose", len(missing), 0))
    failures = {}
    for done, examined in enumerate(examine_all(executor, work.store, missing), start=1):
        if examined.damage:
            raise examined.damage
        if examined.failure:
            failures[examined.name] = examined.failure
        work.watch(Progress("diagnose", len(missing), done, note=examined.failure or ""))
    return failures


def make_pilot(plan: Plan, store: Store) -> int:
    """Make and judge the first rows of every recipe that has none; they are kept and used.

    Args:
        plan: The study's steps.
        store: The root.

    Returns:
        How many were made.

    Raises:
        InputError: A recipe cannot be made.
        EngineLostError: An engine does not work, or the budget bears none of it.
    """
    store.probe()
    prepare(plan, store)
    now = survey(plan, store)
    write_references(now, store)  # first, so that nobody cleans them away
    with contextlib.ExitStack() as stack:
        executor = ExecutorOnDemand(stack, plan, lambda: now, lambda _: None)
        work = Work(plan, store, lambda _: None, executor)
        filled = fill_views(work, now, most=SMALLEST)
    if filled.troubles:
        raise EngineLostError(filled.troubles[0])
    rows_before, rows = (taken(plan.pools, seen).rows for seen in (now.seen, filled.now.seen))
    return int(rows - rows_before)
