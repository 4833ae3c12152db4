"""Ways to train many classifiers, each in a process of its own: what the fleet is measured by."""

import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.errors import TrainingError
from engine.nodes.on_ray import OnRay
from engine.nodes.session import ray_session
from engine.steps.mix import Example
from engine.steps.run import Run
from engine.store.schema import Draws
from engine.store.store import Store
from engine.study.resources import Resources
from engine.tasks.task import Split
from engine.train.fleet import POLL_S, Fleet
from engine.train.queue import Finished
from jobs.bench.memory import memory_mib

SCORED_AT_ONCE = 64  # rows per batch when predicting, as the fleet has it; Trainer's own is 8
EARLY, LATE = 0.25, 0.95  # shares of the runs after which memory is looked at
ENOUGH = 100  # runs that show whether it grows
TUNED = {"bf16": True, "train_sampling_strategy": "group_by_length"}


@dataclass(frozen=True)
class Inputs:
    """What is trained, and what it is scored on.

    Attributes:
        runs: The runs.
        sets: The training set of each, in their order.
        scored: The rows to predict.
        store: Where the runs' workers find the same rows, and commit; each way has its own.
    """

    runs: Sequence[Run]
    sets: Sequence[Sequence[Example]]
    scored: Mapping[Split, Sequence[Example]]
    store: Store


class Spent(NamedTuple):
    """What one way took, and what it came to.

    Attributes:
        start_s: Seconds before the clock ran: imports and a first model, or Ray's start.
        seconds: From then until all predictions were there.
        accuracy: Mean accuracy on the test split.
        more: What else there is to say of it.
    """

    start_s: float
    seconds: float
    accuracy: float
    more: Mapping[str, float] = {}


def trainer(inputs: Inputs, tuned: Mapping[str, Any]) -> Spent:
    """Measure ``transformers.Trainer``, one fine-tune after another in one warm process.

    To its advantage the clock runs from when everything is imported and a model was loaded once;
    the tokenizer is loaded, and the scored rows are tokenised, once for all; and more rows are
    predicted at a time than its default has.

    Args:
        inputs: What to train.
        tuned: Training arguments that are not the default.
    """
    began = time.monotonic()
    import torch
    import transformers
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # of the new head
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    first = inputs.runs[0]
    tokenizer: Any = AutoTokenizer.from_pretrained(
        first.model.place, revision=first.model.revision or "main"
    )
    pad = DataCollatorWithPadding(tokenizer)
    _classifier(first)
    start_s, began = time.monotonic() - began, time.monotonic()
    scored = {split: _encoded(tokenizer, first, rows) for split, rows in inputs.scored.items()}
    predictions = []
    with tempfile.TemporaryDirectory() as folder:
        for run, examples in zip(inputs.runs, inputs.sets, strict=True):
            seed = Draws("initialisation", str(run.repeat)).seed()  # the fleet's: heads are alike
            transformers.set_seed(seed)
            run_trainer: Any = Trainer(
                model=_classifier(run),
                args=transformers.TrainingArguments(
                    output_dir=folder,
                    seed=seed,
                    use_cpu=not torch.cuda.is_available(),  # else it refuses bf16 on a CPU
                    **_recipe(run),
                    **tuned,
                ),
                train_dataset=_encoded(tokenizer, run, examples),
                data_collator=pad,
                processing_class=tokenizer,
            )
            run_trainer.remove_callback(transformers.PrinterCallback)
            run_trainer.train()
            predictions.append({split: run_trainer.predict(rows) for split, rows in scored.items()})
    seconds = time.monotonic() - began
    # with the labels beside them: grouped by length, they come in another order
    hits = [
        (prediction["test"].predictions.argmax(-1) == prediction["test"].label_ids).mean()
        for prediction in predictions
    ]
    return Spent(start_s, seconds, statistics.mean(map(float, hits)))


def _classifier(run: Run) -> Any:  # noqa: ANN401 - a class of transformers' choosing
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        run.model.place, revision=run.model.revision or "main", num_labels=len(run.mix.labels)
    )


def _encoded(tokenizer: Any, run: Run, rows: Sequence[Example]) -> list[dict[str, Any]]:  # noqa: ANN401 - as above
    texts = [row.text for row in rows]
    limit = min(run.config.max_length, tokenizer.model_max_length)
    batch = tokenizer(texts, truncation=True, max_length=limit)
    return [
        {**{name: batch[name][place] for name in batch}, "label": run.mix.labels.index(row.label)}
        for place, row in enumerate(rows)
    ]


def _recipe(run: Run) -> dict[str, Any]:
    """Return a run's training recipe as Trainer's arguments."""
    config = run.config
    return {
        "max_steps": config.steps,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": SCORED_AT_ONCE,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": math.ceil(config.warmup * config.steps),
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def one_trainer_per_run(inputs: Inputs) -> Spent:
    """Measure a Ray ``TorchTrainer`` for each run, with the fleet's loop in its one worker.

    As many are up at a time as have room, each started from a task without a CPU. Ray is up when
    the clock begins to run; the start of the workers counts.
    """
    began = time.monotonic()
    with ray_session(), tempfile.TemporaryDirectory() as storage:
        import ray

        room = OnRay().room()
        needs = {"CPU": 1.0, **({"GPU": 1.0} if room.has_gpu else {})}
        at_once = room.fit(needs, "a worker's resources")
        fit = ray.remote(num_cpus=0, max_retries=0)(_fit)
        start_s, began = time.monotonic() - began, time.monotonic()
        going: list[Any] = []
        for run in inputs.runs:
            if len(going) == at_once:
                done, going = ray.wait(going)
                ray.get(done)
            going.append(fit.remote(run, inputs.store, needs, storage))
        ray.get(going)
        seconds = time.monotonic() - began
    return Spent(start_s, seconds, _accuracy(inputs))


def _fit(run: Run, store: Store, needs: dict[str, float], storage: str) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    TorchTrainer(
        _work,
        train_loop_config={"run": run, "store": store},
        scaling_config=ScalingConfig(
            num_workers=1, use_gpu="GPU" in needs, resources_per_worker=needs
        ),
        torch_config=TorchConfig(backend="gloo"),  # as the fleet
        run_config=RunConfig(name=run.fingerprint, storage_path=storage),
    ).fit()


def _work(config: dict[str, Any]) -> None:
    import torch
    import transformers

    from engine.train.run_worker import RunWorker
    from engine.train.trainer import Hardware

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    RunWorker(config["store"]).do(config["run"], Hardware(device))


def fleet(inputs: Inputs) -> Spent:
    """Measure the fleet; Ray is up when the clock begins to run, the start of its workers counts.

    Raises:
        TrainingError: A run failed.
    """
    began = time.monotonic()
    course = _Course(len(inputs.runs))
    with ray_session():
        start_s, began = time.monotonic() - began, time.monotonic()
        with Fleet(inputs.store, Resources()) as fleet:
            fleet.want(inputs.runs)
            fleet.finish()
            workers = fleet.workers
            while fleet.is_waiting:
                for finished in fleet.hear(POLL_S):
                    course(finished)
        seconds = time.monotonic() - began
    more = course.more(inputs.store, min(workers, len(inputs.runs)))
    return Spent(start_s, seconds, _accuracy(inputs), more)


class _Course:
    """Follows the fleet: how long runs take beside their arithmetic, and whether memory grows."""

    def __init__(self, runs: int) -> None:
        self._runs, self._finished = runs, list[Finished]()
        self._times: list[float] = []
        self._memory: dict[str, float] = {}

    def __call__(self, finished: Finished) -> None:
        if finished.failure:
            raise TrainingError(f"The run {finished.run.label} failed: {finished.failure}.")
        self._finished.append(finished)
        self._times.append(time.monotonic())
        for name, share in (("early", EARLY), ("late", LATE)):
            if len(self._finished) >= share * self._runs and name not in self._memory:
                self._memory[name] = memory_mib()

    def more(self, store: Store, workers: int) -> dict[str, float]:
        """Return what a run takes beside training and scoring, and memory late to early."""
        later = self._finished[workers:]  # what was trained while workers started is no measure
        busy = 0.0
        for finished in later:
            body = store.document(finished.run.name)
            busy += body["train_seconds"] + body["score_seconds"]
        spent = (self._times[-1] - self._times[workers - 1]) * workers
        measures = (
            {"outside_ms_per_run": round(1000 * (spent - busy) / len(later), 1)} if later else {}
        )
        if len(self._memory) == 2 and self._runs >= ENOUGH:
            measures["memory_late_to_early"] = round(
                self._memory["late"] / self._memory["early"], 3
            )
        return measures


def _accuracy(inputs: Inputs) -> float:
    bodies = [inputs.store.document(run.name) for run in inputs.runs]
    return statistics.mean(float(body["splits"]["test"]["accuracy"]) for body in bodies)
