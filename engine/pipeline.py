"""The flow in one screen: what ``textmill run`` does. The file to read first.

    task -> study -> plan -> prompts -> generate -> curate -> mix -> train -> evaluate
    -> diagnose -> report

Every stage reads files of the store and commits files to it. Nothing here holds state that a
killed process would lose: each round looks at the store anew and makes what is missing.
"""

import contextlib
from collections.abc import Callable, Sequence

from engine.curate.stage import Curated, Judging
from engine.demand import Demand
from engine.descent import astray
from engine.diagnose.stage import Examination, Examined, examine_all
from engine.errors import DamagedError, EngineLostError
from engine.generate.ledger import Event, GivenUp, Lost, Made
from engine.generate.stage import JUDGING_CPUS, POLL_S, Generation, Want
from engine.outcome import find
from engine.plan import Plan
from engine.progress import Progress, Watch
from engine.references import write_references
from engine.report.findings import Findings
from engine.report.stage import write_report
from engine.segments import SMALLEST
from engine.session import ray_session
from engine.shares import shares
from engine.spending import Purse, in_words, taken
from engine.store import Store
from engine.study.resources import Resources
from engine.survey import damaged_files, survey
from engine.train.layout import check_fleet
from engine.train.queue import Finished
from engine.training import Training


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
    with Training(plan, store, watch) as training:
        troubles = fill_views(plan, store, watch, ray_needed, training)
        while strays := astray(plan, store):
            for name in strays:
                store.retire(name)
                note = f"{name} is made again: what it was made from has changed"
                watch(Progress("mend", 1, 1, note=note))
            troubles = fill_views(plan, store, watch, ray_needed, training)
        now = survey(plan, store)
        write_references(plan, now, store)
        if missing := now.missing():
            ray_needed()
            training.begin(missing)
        failed = training.finish()
    undiagnosed = diagnose(now.unexamined(), store, watch, ray_needed)
    return write_results(plan, store, [*failed, *undiagnosed], troubles)


class _Lazily:
    """Starts Ray when it is first needed: a study that is done already needs none."""

    def __init__(self, stack: contextlib.ExitStack, where: Resources) -> None:
        self._stack, self._where, self._is_up = stack, where, False

    def __call__(self) -> None:
        if not self._is_up:
            self._stack.enter_context(ray_session())
            check_fleet(self._where)
            self._is_up = True


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


def publish_inputs(plan: Plan, store: Store) -> None:
    """Put the rows that workers read into the store."""
    for rows in plan.inputs():
        rows.publish(store)


def fill_views(  # noqa: PLR0913 - all that makes and judges comes together here
    plan: Plan,
    store: Store,
    watch: Watch,
    ray_needed: Callable[[], None],
    training: Training | None = None,
    most: int | None = None,
) -> list[str]:
    """Extend pools and judge their rows, side by side, until every quota is met or given up.

    Args:
        plan: The study's steps.
        store: The root.
        watch: Told of all progress.
        ray_needed: Called before Ray is used.
        training: What trains conditions whose rows are there, while others are still made, if
            there is room for both.
        most: Rows of a label that are wanted, at most, if not all.

    Returns:
        What went wrong with engines, a sentence each.

    Raises:
        ConfigError: There is no room for what is to be made.
    """
    demand = Demand(plan, store, most)
    wanted = demand.wants()
    if demand.is_settled:
        return []
    ray_needed()
    study, purse = plan.file.study, Purse(plan, store)
    pools, room = plan.with_sources(demand.open_pools), None
    if training:
        room, training.room = shares(study.resources, pools)
    with Generation(pools, store, study.resources, study.name, room) as generation:
        judging = Judging(store, JUDGING_CPUS)
        filling = _Filling(demand, generation, judging, purse, watch, training)
        filling.want(wanted)
        # while engines start; and first, so that nobody cleans away what they will make
        write_references(plan, survey(plan, store), store)
        troubles = filling.fill()
    if training:
        training.room = None  # what begins now may take what the engines had
    return troubles


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
    troubles = fill_views(plan, store, lambda _: None, ray_needed, most=SMALLEST)
    if troubles:
        raise EngineLostError(troubles[0])
    return int(taken(plan.pools, store).rows - before)


class _Filling:
    """The loop of ``fill_views``: what is made is judged, and what is judged tells what to make."""

    def __init__(  # noqa: PLR0913 - it joins these
        self,
        demand: Demand,
        generation: Generation,
        judging: Judging,
        purse: Purse,
        watch: Watch,
        training: Training | None,
    ) -> None:
        self._demand, self._generation, self._judging = demand, generation, judging
        self._purse, self._watch, self._training = purse, watch, training
        self._made = self._tokens = self._judged = 0
        self._troubles: list[str] = []

    def fill(self) -> list[str]:
        self._show()
        if unjudged := self._demand.unjudged_rows:
            self._watch(Progress("curate", unjudged, 0))
        while True:
            for view, slot in self._demand.to_judge():
                self._judging.begin(view, slot)
            self.want(self._demand.wants())
            self._generation.finish({pool.fingerprint for pool in self._demand.open_pools})
            if self._demand.is_settled:
                return self._troubles
            is_making = bool(self._demand.awaited_rows)
            for event in self._generation.hear(POLL_S if is_making else 0):
                self._hear(event)
            for done in self._judging.finished(0 if is_making else POLL_S):
                self._take(done)
            if self._training:
                self._training.go_on()

    def want(self, wanted: Sequence[Want]) -> None:
        """Ask for segments, as far as the budget goes."""
        before = self._demand.awaited_rows - sum(want.rows for want in wanted)
        allowed = self._purse.affordable(wanted, before)
        self._demand.withdrawn(wanted[len(allowed) :])
        self._generation.want(allowed)
        if wanted and not allowed and not before:
            self._stop_spending()

    def _stop_spending(self) -> None:
        self._demand.stop(pool.fingerprint for pool in self._demand.open_pools)
        limits = self._purse.spent.against(self._purse.budget)
        told = ", ".join(
            f"{name} {limit:,g}, {used:,.6g} taken" for name, (used, limit) in limits.items()
        )
        self._troubles.append(
            f"The budget bears no more rows ({told}). Raise it and run the same command to go on."
        )
        self._show(self._troubles[-1])

    def _hear(self, event: Event) -> None:
        if isinstance(event, Made):
            self._demand.made(event.part)
            self._purse.pay(event)
            self._made += event.part.rows
            self._tokens += event.tokens
            self._show()
        if isinstance(event, Lost):
            self._show(f"an engine was lost and is replaced: {event.cause}")
        if isinstance(event, GivenUp):
            self._demand.stop(self._generation.pools_of(event.group))
            self._troubles.append(f"No engine was left that works: {event.cause}")
            self._show(self._troubles[-1])

    def _take(self, done: Curated) -> None:
        own = (done.view.folder, done.view.pool.folder)
        for name in done.damaged:
            if not name.startswith(own):  # such as gold rows, which are published when all begins
                raise DamagedError(name, "it was altered while it was in use")
        self._demand.judged(done)
        self._judged += done.rows
        notes = [f"{name} was damaged and is made again" for name in done.damaged]
        total = self._judged + self._demand.unjudged_rows + self._demand.awaited_rows
        self._watch(Progress("curate", total, self._judged, note="; ".join(notes)))

    def _show(self, note: str = "") -> None:
        awaited = self._demand.awaited_rows
        total = self._made + awaited
        if total or note:
            spent = self._told(awaited)
            self._watch(Progress("generate", total, self._made, self._tokens, note, spent))

    def _told(self, awaited: int) -> str:
        """Say what generation took, and what it will have taken when the awaited rows are there."""
        spent, budget = self._purse.spent, self._purse.budget
        if not spent.rows:
            return ""
        told = f"spent {in_words(spent, budget)}"
        hits = spent.cached_tokens / spent.prompt_tokens if spent.prompt_tokens else 0
        told += f"; {hits:.0%} of prompt tokens cached" if hits else ""
        if not awaited:
            return told
        return f"{told}; projected {in_words(self._purse.projected(awaited), budget)}"
