"""How alike rows are: mean cosines of their sentence embeddings.

Source: Li et al. 2024, arXiv:2407.12813, section 5.6 and figure 4, which give both means for each
task and way of prompting.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.steps.mix import Example


def as_texts(examples: Sequence[Example]) -> list[str]:
    """Return what an encoder is given of rows: the text, and of a pair both, a line each."""
    return [
        example.text if example.text_pair is None else f"{example.text}\n{example.text_pair}"
        for example in examples
    ]


def inter_similarity(vectors: NDArray[np.floating]) -> float | None:
    """Return the mean cosine of two different rows.

    With unit vectors of sum s, the n(n - 1) ordered pairs have the mean (|s|^2 - n) / (n(n - 1)),
    which is exact and takes no pair one by one.

    Args:
        vectors: Shape (rows, dimensions), none of length 0; they are brought to length 1.

    Returns:
        A number from -1 / (rows - 1) to 1, up to rounding; None for fewer than two rows.
    """
    count = len(vectors)
    if count < 2:
        return None
    total = _unit(vectors).sum(axis=0)
    return float((total @ total - count) / (count * (count - 1)))


def cross_similarity(vectors: NDArray[np.floating], others: NDArray[np.floating]) -> float | None:
    """Return the mean cosine of a row and one of the others, over all such pairs.

    It is the product of the two means of the unit vectors.

    Args:
        vectors: Shape (rows, dimensions), none of length 0; they are brought to length 1.
        others: Likewise; as many dimensions.

    Returns:
        A number from -1 to 1, up to rounding; None where either has no rows.
    """
    if not len(vectors) or not len(others):
        return None
    return float(_unit(vectors).mean(axis=0) @ _unit(others).mean(axis=0))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    unit: NDArray[np.float64] = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return unit
