"""Study files at random: of every field's type, whatever the field makes of it."""

import typing

from hypothesis import strategies as st
from pydantic import BaseModel

from engine.study.search_config import Range
from engine.tasks.source import CutSource, FileSource, HubSource

WORDS = [
    *["", " ", "a", "toy", "bad", "good", "./model", "model", "nobody/nothing", "\u2028\u00df"],
    *["verbatim", "recorded", "transformers", "vllm", "openai", "finetune", "head"],
    *["zero_shot", "few_shot", "one_shot", "topic", "template", "length", "duplicate"],
    *["toy_study:make_toy", "li2024", "sst2", "task.toml", "train.jsonl", "other.jsonl", "../x"],
    *["${HOME}", "${NOT_SET}", "$", "~", "~nobody-of-that-name/x", "\x00", "x\x00y", "a b", "a//b"],
    *["--", ":", "a:", ":b", ".", "{", "{}", "{thing}", "%s", "\\"],
    *["quantity", "real", "train.steps", "steps", "name", "mix"],
]
NUMBERS = [-(10**30), -1, 0, 1, 2, 3, 5, 8, 64, 10**6, 2**31, 2**63, 10**30]
FRACTIONS = [-1.5, -0.0, 0.0, 1e-300, 1e-9, 0.1, 0.5, 1.0, 2.0, 3.0, 1e9, 1e300]
BEYOND = [float("inf"), float("-inf"), float("nan")]  # which TOML can write

texts = st.sampled_from(WORDS) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)  # TOML has no surrogates
numbers = st.sampled_from(NUMBERS)
fractions = st.sampled_from([*FRACTIONS, *BEYOND])
anything = st.recursive(
    st.booleans() | numbers | fractions | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


def tables(kind, most):
    """Return tables with some fields of a model, ``most`` of them at most."""
    names = st.lists(st.sampled_from(list(kind.model_fields)), max_size=most, unique=True)
    return names.flatmap(
        lambda own: st.fixed_dictionaries(
            {name: values(kind.model_fields[name].annotation) for name in own}
        )
    )


def values(annotation):
    """Return values of a type, as TOML can write them."""
    parts = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin is typing.Annotated:
        return values(parts[0])
    if origin is list:
        return st.lists(values(parts[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    if parts:
        return st.one_of([values(part) for part in parts if part is not type(None)])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return tables(annotation, 2)
    return {bool: st.booleans(), int: numbers, float: fractions | numbers, str: texts}.get(
        annotation, anything
    )


def fields_of(kind, before=""):
    """Yield the names of all fields of a model, and of the models in it; of rows' sources none."""
    for name, field in kind.model_fields.items():
        inner = [one for one in models_in(field.annotation) if one not in LEAVES]
        for one in inner:
            yield from fields_of(one, f"{before}{name}.")
        if inner != [field.annotation]:
            yield before + name


LEAVES = (FileSource, HubSource, CutSource, Range)  # of rows and of a search's levels


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in typing.get_args(annotation) for one in models_in(part)]


def annotation_of(kind, path):
    """Return the type of a field that ``fields_of`` names."""
    name, _, rest = path.partition(".")
    annotation = kind.model_fields[name].annotation
    return annotation_of(models_in(annotation)[0], rest) if rest else annotation
