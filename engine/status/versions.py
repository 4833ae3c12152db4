"""What was made under another VERSION of its stage: it is there, has another name, and is not used.

Why is said in ``engine/steps/identity.py``: code of another VERSION would make something else of
the same fields.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from engine.errors import DamagedError, FormatError
from engine.fingerprint import canonical
from engine.plan.names import run_key
from engine.plan.plan import Plan
from engine.status.survey import Survey
from engine.steps.identity import VERSIONS, version_of
from engine.steps.pool import Pool
from engine.steps.view import View
from engine.store.store import Store

_OF_STEPS = {"pool", "parent", "topics"}  # inputs that are fingerprints, which have VERSIONs too
_PLURALS = {"topics": "lists of topics", "diagnosis": "diagnoses", "baseline": "pools of baselines"}


class Other(NamedTuple):
    """Something that is there under another VERSION than this textmill's.

    Attributes:
        kind: "pool", "topics", "baseline", "view" or "run".
        version: Its VERSION.
    """

    kind: str
    version: int


def recipes(stage: str, store: Store) -> list[dict[str, Any]]:
    """Return what the recipes of "pools" or "views" say, as far as they can be read."""
    documents = (document(f"{stage}/{folder}/recipe.json", store) for folder in store.names(stage))
    return [recipe for recipe in documents if recipe]


def document(name: str, store: Store) -> dict[str, Any] | None:
    """Return what a document says; None if it is not there, or cannot be read."""
    try:
        return store.document(name)
    except (DamagedError, FormatError):
        return None


def other_recipe(recipe: Mapping[str, Any], committed: Iterable[Mapping[str, Any]]) -> Other | None:
    """Return what is there of the same recipe under another VERSION, if there is something.

    Args:
        recipe: What the recipe of a pool or a view says.
        committed: What those say that are there.
    """
    for known in committed:
        is_same = known["fingerprint"] != recipe["fingerprint"] and _bare(known) == _bare(recipe)
        if is_same and (other := other_version(known)):
            return other
    return None


def other_version(body: Mapping[str, Any]) -> Other | None:
    """Return the VERSION of a recipe or a result, if it is known and not this textmill's."""
    kind, version = str(body["kind"]), version_of(body)
    return Other(kind, version) if version not in (None, VERSIONS[kind]) else None


def other_rows(plan: Plan, store: Store) -> list[Other]:
    """Return what is there under other VERSIONs of the pools and views that have no rows yet."""
    others = [*_others(plan.pools, "pools", store), *_others(plan.views, "views", store)]
    return [other for other in others if other]


def _others(planned: Iterable[Pool | View], stage: str, store: Store) -> list[Other | None]:
    without = [step for step in planned if not store.names(f"{step.folder}/rows")]
    committed = recipes(stage, store) if without else []
    return [other_recipe(step.recipe(), committed) for step in without]


def other_runs(now: Survey, before: Mapping[str, str]) -> list[Other]:
    """Return what stood, when the study last ran, in the place of runs that are not there.

    Args:
        now: What is there of the study.
        before: The files of its runs when it last ran, by what tells them apart.
    """
    keys = [
        run_key(ready.cell, run.repeat)
        for ready in now.ready
        for run in ready.runs
        if run.name not in now.finished
    ]
    bodies = [document(before[key], now.seen) for key in keys if key in before]
    return [other for body in bodies if body and (other := other_version(body))]


def notices(others: Iterable[Other]) -> list[str]:
    """Return a sentence for each kind and VERSION."""
    return [_sentence(other, count) for other, count in Counter(others).items()]


def _sentence(other: Other, count: int) -> str:
    kind, version = other
    many = _PLURALS.get(kind, f"{kind}s")
    whose = "an older" if version < VERSIONS[kind] else "a newer"
    return (
        f"Not used: {count} {many} of VERSION {version}, which {whose} textmill made for the same "
        f"study. This one writes VERSION {VERSIONS[kind]}, and makes them anew."
    )


def _bare(recipe: Mapping[str, Any]) -> bytes:
    inputs = {name: value for name, value in recipe["inputs"].items() if name not in _OF_STEPS}
    return canonical([recipe["kind"], recipe["reads"], inputs])
