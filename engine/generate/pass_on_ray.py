"""A pass of Ray Data: calls are handed out, their prompts are worded, and engines answer.

A row of the dataset is a call.
"""

import logging
import traceback
import warnings
from collections.abc import Iterator, Mapping

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy, from_items
from ray.exceptions import RayError, RayTaskError, UserCodeException

from engine.errors import EngineLostError, InputError
from engine.generate.actor import EngineActor
from engine.generate.calls import CALL, LedgerClient, Wording, segment_ref
from engine.generate.passes import AHEAD, Pass, said
from engine.nodes.on_ray import at_home
from engine.nodes.room import OWN
from engine.steps.pool import Pool
from engine.store.store import Store


def run_pass(task: Pass) -> None:
    """Answer calls until the ledger says that there are no more; errors as of ``passes.run_pass``.

    Engines' actors commit the rows themselves.
    """
    _quieten()
    try:
        for _ in _dataset(task).iter_rows():
            pass
    except Exception as error:
        wrong = _refusal(error)
        is_rays, why = _is_rays(error), said(error)
        _forget_frames(error)
        if wrong:
            raise wrong from None
        if is_rays:
            raise EngineLostError(why) from None
        raise


def _dataset(task: Pass) -> Dataset:
    return _answered(_worded(_handed_out(task), task), task)


def _handed_out(task: Pass) -> Dataset:
    """Return the source: calls, as the ledger hands them out."""
    begun = from_items([0])
    begun.context.target_max_block_size = 1  # else what the source yields waits for company
    begun.context.execution_no_progress_timeout_s = -1  # a call may take hours
    # as many calls as an actor may have are full use of it here, where Ray counts those that
    # wait beyond: its own threshold, of 1.75, would never be reached
    in_flight = task.calls_in_flight
    scaling = begun.context.autoscaling_config
    scaling.actor_pool_util_upscaling_threshold = (in_flight + 1) / (in_flight + AHEAD)
    return begun.map_batches(
        hand_out,  # type: ignore[arg-type]  # Ray's type knows no further arguments
        fn_args=(task.client,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=0,
        label_selector=at_home(),
    )


def _worded(calls: Dataset, task: Pass) -> Dataset:
    """Return the calls with their prompts, which tasks word ahead of the engines."""
    return calls.map_batches(
        ask,  # type: ignore[arg-type]
        fn_args=(task.client, task.pools, task.setup.store),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=0,  # Ray gives each of several passes its share of CPUs; engines may fill it
        # one more than engines, while a call passes on; yet more take cores from engines
        compute=TaskPoolStrategy(task.most + 1),
    )


def _answered(worded: Dataset, task: Pass) -> Dataset:
    """Return how many calls were answered."""
    calls = task.calls_in_flight + AHEAD
    return worded.map_batches(
        RayEngineActor,
        fn_constructor_args=(task,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=task.needs["CPU"],
        num_gpus=task.needs["GPU"],
        resources={name: amount for name, amount in task.needs.items() if name not in OWN},
        compute=ActorPoolStrategy(
            min_size=task.least,
            max_size=task.most,
            # those that wait have a thread too: an actor that sits out must give all back
            max_concurrent_calls_per_actor=calls,
            max_tasks_in_flight_per_actor=calls,
            enable_true_multi_threading=True,
        ),
    )


def _quieten() -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # a pass that ends after one call had no use for more; Ray takes that for an oversight
    warnings.filterwarnings(
        "ignore", message="The maximum number of concurrent tasks for 'MapBatch"
    )
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # its log file stays as talkative as it is
            handler.setLevel(logging.ERROR)


def hand_out(_: pa.Table, client: LedgerClient) -> Iterator[pa.Table]:
    """Yield calls as the ledger hands them out, until it is told that there are no more.

    Raises:
        EngineLostError: It was killed, and Ray tries it again: the pass must be begun anew.
    """
    if not (number := client.call("begin")):
        raise EngineLostError("The source of a pass was killed.")
    while (parts := client.call("next", number)) is not None:
        call = [{"pool": part.pool, **part.segment._asdict()} for part in parts]
        yield pa.Table.from_pylist([{"parts": call}], schema=CALL)


def ask(calls: pa.Table, client: LedgerClient, known: Mapping[str, Pool], store: Store) -> pa.Table:
    """Word the prompts of calls."""
    wording = Wording(client, known, store)
    worded = [
        {"parts": wording.worded([segment_ref(part) for part in call["parts"]])}
        for call in calls.to_pylist()
    ]
    return pa.Table.from_pylist(worded, schema=CALL)


class RayEngineActor(EngineActor):
    """An engine's actor; Ray starts another in the place of one whose process ends."""

    def __init__(self, task: Pass) -> None:
        super().__init__(task, str(ray.get_runtime_context().get_actor_id()))

    def __call__(self, calls: pa.Table) -> pa.Table:
        """Answer calls; the table returned says only how many there were."""
        for call in calls.to_pylist():
            self.answer(call["parts"])
        return pa.table({"calls": [calls.num_rows]})


def _refusal(error: BaseException | None) -> InputError | None:
    """Return what the user gave wrong, if that is why a task of Ray's failed."""
    while error is not None and not isinstance(error, InputError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _is_rays(error: BaseException | None) -> bool:
    """Say whether a pass ended by a fault of a process or a node, rather than of our code."""
    while isinstance(error, RayTaskError | UserCodeException):
        error = getattr(error, "cause", None) or error.__cause__
    return isinstance(error, RayError | EngineLostError)


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the variables of the frames that an error passed: among them a pass's actors."""
    while error:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
