"""What is to be found out about one view's rows, and the one file that it becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from engine.fingerprint import SHORT, Plain, content_hash
from engine.models import Model
from engine.steps.identity import diagnosis_fingerprint, diagnosis_reads
from engine.steps.mix import Example, Mix, Outline
from engine.steps.view import View
from engine.study.config import DiagnoseConfig


class Encoder(NamedTuple):
    """What a study says of its diagnoses, and the encoder that it names."""

    config: DiagnoseConfig
    model: Model


@dataclass(frozen=True)
class Examination:
    """What is to be found out about one view's rows, and the one file that it becomes.

    Attributes:
        fingerprint: Its identity, 64 hex digits.
        label: What it is called on disk, before the hash.
        view: The view.
        rows: How many of its rows are looked at.
        mix: How to put the rows together: those of the view, then the real ones.
        words: Words that give a label away.
        model: The encoder.
        max_length: Longest text, in tokens, that it is given.
        reads: What the fingerprint is made of, besides inputs.
        inputs: The content of the synthetic and of the real rows.
    """

    fingerprint: str
    label: str
    view: View
    rows: int
    mix: Mix
    words: Sequence[str]
    model: Model
    max_length: int
    reads: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Plain] = field(repr=False)

    @property
    def name(self) -> str:
        """Its file in the store."""
        return f"diagnoses/{self.label}-{self.fingerprint[:SHORT]}.json"


def examination(
    view: View, mix: Mix, synthetic: Outline, real: Sequence[Example], how: Encoder
) -> Examination:
    """Plan the examination of a view.

    Args:
        view: The view.
        mix: How the largest training set is put together that draws on it.
        synthetic: That training set; its real rows do not count.
        real: The replicate's real rows in their order; the first so many that are asked for count,
            or all if there are fewer.
        how: The encoder, and how many real rows.
    """
    task, config = view.pool.task, how.config
    # as many real rows as the config asks for: views of all training sets are set beside the same
    mix = replace(mix, config=mix.config.model_copy(update={"real": config.real}))
    reads = diagnosis_reads(task, how.model.identity, config.max_length)
    inputs: dict[str, Plain] = {
        "synthetic": synthetic.synthetic_content,
        "real": content_hash(real[: config.real]),
    }
    return Examination(
        fingerprint=diagnosis_fingerprint(reads, inputs),
        label=f"{view.pool.label}-{synthetic.synthetic}",
        view=view,
        rows=synthetic.synthetic,
        mix=mix,
        words=task.trivial_words,
        model=how.model,
        max_length=config.max_length,
        reads=reads,
        inputs=inputs,
    )
