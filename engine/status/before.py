"""What sets a missing step apart from what was made before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.fingerprint import SHORT
from engine.status.survey import Survey
from engine.status.versions import Other, document, other_recipe, other_version, recipes
from engine.steps.identity import VERSIONS
from engine.steps.run import Run
from engine.store.references import reference_file

SHOWN_DIFFERENCES = 3


class Before:
    """What the store holds already, to say what sets a missing step apart from it."""

    def __init__(self, now: Survey) -> None:
        self._store = now.seen
        self._recipes: dict[str, list[dict[str, Any]]] = {}
        references = document(reference_file(now.plan.file.study.name), now.seen)
        self._runs: Mapping[str, str] = (references or {}).get("runs", {})

    def why(self, stage: str, recipe: Mapping[str, Any]) -> str:
        """Say how a recipe differs from the one most like it among those there."""
        if other := self.other(stage, recipe):
            return f"one of VERSION {other.version} is there, and {_written(other)}"
        differences = [
            _differences(committed, recipe)
            for committed in self._recipes_of(stage)
            if committed["fingerprint"] != recipe["fingerprint"]
            and committed["kind"] == recipe["kind"]
        ]
        if not differences:
            return "none was made yet"
        return f"the nearest there differs: {_shortened(min(differences, key=len))}"

    def other(self, stage: str, recipe: Mapping[str, Any]) -> Other | None:
        """Return what is there of a recipe under another VERSION."""
        return other_recipe(recipe, self._recipes_of(stage))

    def other_run(self, key: str) -> Other | None:
        """Return the same of the run that stood in a run's place."""
        body = self._before(key)
        return other_version(body) if body else None

    def _recipes_of(self, stage: str) -> list[dict[str, Any]]:
        if stage not in self._recipes:
            self._recipes[stage] = recipes(stage, self._store)
        return self._recipes[stage]

    def _before(self, key: str) -> dict[str, Any] | None:
        return document(self._runs[key], self._store) if key in self._runs else None

    def why_run(self, key: str, run: Run) -> str:
        """Say how a run differs from the one that stood in its place when the study last ran."""
        body = self._before(key)
        if body is None or self._runs[key] == run.name:
            return "not made yet"
        if other := other_version(body):
            return f"stale: made under VERSION {other.version}, and {_written(other)}"
        now = {"reads": dict(run.reads), "inputs": dict(run.inputs)}
        return "stale: made before this changed: " + _shortened(
            _differences({"reads": body["reads"], "inputs": body["inputs"]}, now)
        )


def _written(other: Other) -> str:
    return f"this textmill writes VERSION {VERSIONS[other.kind]}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    names = [name for name in {**before, **after} if name not in ("kind", "fingerprint")]
    return [
        f"{name} {_brief(before.get(name))} -> {_brief(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else key)
    else:
        yield name.removeprefix("reads.").removeprefix("inputs."), value


def _brief(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, str) and len(value) == 64:
        return value[:SHORT]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _shortened(differences: Sequence[str]) -> str:
    more = len(differences) - SHOWN_DIFFERENCES
    shown = "; ".join(differences[:SHOWN_DIFFERENCES]) or "nothing that it shows"
    return f"{shown}; and {more} more" if more > 0 else shown
