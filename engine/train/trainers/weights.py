"""What each row of a training set counts for in the loss."""

from collections import Counter
from collections.abc import Sequence

from engine.steps.mix import Example
from engine.study.config import TrainConfig


def row_weights(
    examples: Sequence[Example], synthetic: int, labels: Sequence[str], config: TrainConfig
) -> list[float]:
    """Return each row's weight: its label's, times that of synthetic rows if it is one.

    "balanced" gives every label the same say, as scikit-learn's ``compute_class_weight`` does: rows
    / (labels * rows of the label); labels without rows do not count.

    Args:
        examples: The rows, synthetic ones first.
        synthetic: How many of them are synthetic.
        labels: The task's labels.
        config: The recipe.

    Returns:
        Weights above 0, one for each row.
    """
    class_weights = config.class_weights
    if class_weights == "none":
        label_weights = dict.fromkeys(labels, 1.0)
    elif class_weights == "balanced":
        counts = Counter(example.label for example in examples)
        label_weights = {label: len(examples) / (len(counts) * counts[label]) for label in counts}
    else:
        label_weights = {label: class_weights.get(label, 1.0) for label in labels}
    of_kind = [config.synthetic_weight] * synthetic + [1.0] * (len(examples) - synthetic)
    return [
        label_weights[example.label] * weight
        for example, weight in zip(examples, of_kind, strict=True)
    ]
