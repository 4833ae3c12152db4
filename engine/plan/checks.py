"""What is wrong with a study's amounts and labels."""

from collections.abc import Mapping

from engine.errors import ConfigError, DataError
from engine.plan.cell import Cell
from engine.plugins import did_you_mean
from engine.study.factors import Condition
from engine.study.study import StudyFile
from engine.tasks.gold import Rows
from engine.tasks.task import Split


def check_labels(file: StudyFile, grid: list[Condition]) -> None:
    """Check that the labels that conditions name are the task's.

    Raises:
        ConfigError: One is not, or a prior lacks one.
    """
    for condition in grid:
        known = file.tasks[condition.task].labels
        prior, config = condition.mix.prior, condition.generate
        named = {"mix.prior": list(prior)}
        named["generate.templates"] = list(config.templates or {}) if config else []
        weights = condition.train.class_weights
        named["train.class_weights"] = [] if isinstance(weights, str) else list(weights)
        for field, labels in named.items():
            for label in labels:
                if label not in known:
                    hint = did_you_mean(label, known)
                    raise ConfigError(
                        f"{file.source}: {field} has the unknown label {label!r}.{hint}"
                    )
        lacking = [label for label in known if prior and label not in prior]
        if lacking:
            raise ConfigError(
                f"{file.source}: mix.prior gives no weight to the label {lacking[0]!r}."
            )


def check_amounts(
    file: StudyFile, cells: list[Cell], gold: Mapping[str, Mapping[Split, Rows]]
) -> None:
    """Check that there are as many real and recorded rows as cells take.

    Raises:
        DataError: There are not.
    """
    for cell in cells:
        condition, task = cell.condition, file.tasks[cell.condition.task]
        train = gold[task.name]["train"]
        lacking = [label for label in task.labels if not train.count(label)]
        if condition.mix.real and lacking:
            raise DataError(
                f"{file.source}: real is {condition.mix.real}, but the train split of "
                f"{task.name!r} has no rows labelled {lacking[0]!r}."
            )
        if condition.mix.real > train.table.num_rows:
            raise DataError(
                f"{file.source}: real is {condition.mix.real}, but the train split of "
                f"{task.name!r} has only {train.table.num_rows} rows."
            )
        limits = cell.mix.view.pool.limits if cell.mix.view else {}
        for label, limit in limits.items():
            if cell.quotas[label] > limit:
                raise DataError(
                    f"{file.source}: quantity {condition.mix.quantity} needs "
                    f"{cell.quotas[label]} rows of {label!r}, but only {limit} are recorded in "
                    f"{condition.generate and condition.generate.records}."
                )
