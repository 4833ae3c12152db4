"""``textmill doctor``: what of a cluster, or of this machine, would break a study, before it costs.

Every node looks at itself in a task of Ray's; what they see is set beside each other here.
"""

import contextlib
import json as jsonlib
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray

from engine.errors import ConfigError, InputError, ModelError, RootError
from engine.generate.needs import FIELDS as ENGINE_FIELDS
from engine.generate.needs import JUDGING_CPUS, engine_needs
from engine.models import Model, resolve_model
from engine.nodes.on_ray import OnRay
from engine.nodes.session import ray_session
from engine.plan.plan import Plan, make_plan
from engine.search.search import cover_plan
from engine.search.space import Space
from engine.store.store import Store, is_url, probe_name
from engine.study.load import load_study
from engine.train.placement import check_fleet
from jobs.doctor.table import Facts, Finding, Gpu, Node, as_dict, gib, text
from jobs.doctor.versions import versions

MUST_AGREE = ("python", "ray")  # else nodes cannot talk to each other at all
PATIENCE_S = 120.0  # for a node's answer
LEAST_DISK, LEAST_SHM = 5 * 2**30, 2**30  # bytes
MOST_SKEW_S = 5.0


def doctor(
    root: str, study: Path | None, overrides: Sequence[str], expected: str | None, *, json: bool
) -> tuple[str, bool]:
    """Look at every node; return what was found, and whether a study could be done.

    Args:
        root: The root.
        study: A study whose models, engines and workers are looked at, too.
        overrides: Settings in place of the file's.
        expected: Versions that nodes are to have, as ``versions`` returns them, in JSON; those of
            this process if None.
        json: Whether it is told in JSON.

    Raises:
        RootError: The root is none.
    """
    store = Store.open(root)
    wanted: Mapping[str, str | None] = jsonlib.loads(expected) if expected else versions()
    findings: list[Finding] = []
    plan = _planned(study, overrides, findings)
    models = _models(plan)
    with ray_session():
        nodes = look_at_nodes(store, models, findings)
        findings += judge(nodes, wanted, plan, store)
        findings += _too_small(plan)
    is_sound = all(finding.weight == "note" for finding in findings)
    if json:
        whole = {
            "root": store.root,
            "nodes": [as_dict(node) for node in nodes],
            "findings": [finding._asdict() for finding in findings],
        }
        return jsonlib.dumps(whole, indent=1), is_sound
    return text(nodes, findings, store, is_sound=is_sound), is_sound


def look_at_nodes(store: Store, models: Mapping[str, Model], findings: list[Finding]) -> list[Node]:
    """Have every node look at itself, and at a file that this process puts into the root."""
    mark = probe_name()
    try:
        store.probe()
        store.commit(mark, b"")
    except RootError as error:
        mark = ""  # nobody is blamed for not seeing what is not there
        findings.append(Finding("problem", f"From the driver: {error}"))
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    task: Any = ray.remote(look)
    asked = []
    for node in sorted((node for node in nodes if node["Alive"]), key=_head_first):
        on_node = task.options(
            num_cpus=0, label_selector={"ray.io/node-id": node["NodeID"]}, max_retries=0
        )
        asked.append((node, time.time(), on_node.remote(store, mark, dict(models))))
    seen = []
    for node, began, answer in asked:
        gpus = float(node["Resources"].get("GPU", 0))
        unanswered = Node(_address(node), _is_head(node), gpus, None)
        try:
            facts: Facts = ray.get(answer, timeout=PATIENCE_S)
        except (ray.exceptions.RayError, TimeoutError) as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            text = f"{unanswered.name} does not answer ({cause}). Restart its Ray."
            findings.append(Finding("problem", text))
            seen.append(unanswered)
            continue
        # its clock was read between asking and hearing: what lies outside of that is skew
        skew = min(0.0, facts.clock - began) + max(0.0, facts.clock - time.time())
        seen.append(unanswered._replace(facts=facts, skew_s=skew))
    if mark:
        with contextlib.suppress(OSError):
            store.remove(mark)
    return seen


def look(store: Store, mark: str, models: Mapping[str, Model]) -> Facts:
    """Look at the node that this runs on."""
    import psutil

    root_error = None
    try:
        store.probe()
    except RootError as error:
        root_error = str(error)
    memory, shm = psutil.virtual_memory(), Path("/dev/shm")
    folder = Path(tempfile.gettempdir()) if is_url(store.root) else _nearest(Path(store.root))
    return Facts(
        host=platform.node(),
        versions=versions(),
        gpus=_gpus(),
        memory=(memory.available, memory.total),
        shm=shutil.disk_usage(shm).free if shm.is_dir() else None,
        disk=shutil.disk_usage(folder).free,
        root_error=root_error,
        sees_mark=not mark or (root_error is None and store.has(mark)),
        unreachable={name: why for name, model in models.items() if (why := _unreachable(model))},
        clock=time.time(),
    )


def _nearest(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _gpus() -> list[Gpu]:
    """Ask the driver's own tool: to ask through torch would take memory of each GPU."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,memory.free,memory.total",
        "--format=csv,noheader,nounits",
    ]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[part.strip() for part in line.split(",")] for line in said.splitlines() if line]
    return [Gpu(name, int(free), int(total)) for name, free, total in rows]


def _unreachable(model: Model) -> str | None:
    """Say why a model cannot be had on this node; None if it can."""
    if Path(model.place).is_absolute():  # its content was hashed where the study was planned
        return None if Path(model.place).exists() else "there is no such folder"
    try:
        resolve_model(model.place, model.revision or "main", "it")
    except ModelError as error:
        return str(error)
    return None


def judge(
    nodes: Sequence[Node], wanted: Mapping[str, str | None], plan: Plan | None, store: Store
) -> Iterator[Finding]:
    """Say what of the nodes would break a study."""
    has_gpus = any(node.gpus for node in nodes)
    for node in nodes:
        if node.facts is None:
            continue
        yield from _versions_apart(node.name, node.facts.versions, wanted)
        yield from _root_troubles(node.name, node.facts, store)
        if node.gpus and not node.facts.gpus:
            text = f"counts {node.gpus:g} GPUs, but nvidia-smi shows none. Look at its driver."
            yield Finding("problem", f"{node.name} {text}")
        if plan and (node.gpus or not has_gpus):  # else engines and workers go elsewhere
            yield from _lacks(node.name, node.facts, plan)
        if abs(node.skew_s) > MOST_SKEW_S:
            yield Finding(
                "note",
                f"The clock of {node.name} is off by {node.skew_s:+.0f} s: `textmill clean` goes "
                "by ages, and object stores refuse requests of another quarter of an hour.",
            )


def _root_troubles(node: str, facts: Facts, store: Store) -> Iterator[Finding]:
    if facts.root_error:
        yield Finding("problem", f"From {node}: {facts.root_error}")
    elif not facts.sees_mark:
        yield Finding(
            "problem",
            f"{node} does not see what the driver wrote into {store.root}: it has another folder "
            "of that name. Name one on a file system that all nodes share, or an object store.",
        )
    if facts.disk < LEAST_DISK:
        yield Finding("problem", f"{node} has {gib(facts.disk)} GiB of disk left. Make room.")


def _lacks(node: str, facts: Facts, plan: Plan) -> Iterator[Finding]:
    """Say what a study needs that a node has not."""
    asks_vllm = any(pool.config.engine == "vllm" for pool in plan.pools)
    if asks_vllm and facts.versions.get("vllm") is None:
        advice = "Install it: pip install 'textmill[gpu]'."
        yield Finding("problem", f"{node} has no vllm, which the study's engine is. {advice}")
    if plan.file.study.resources.tensor_parallel > 1 and (facts.shm or 0) < LEAST_SHM:
        yield Finding(
            "problem",
            f"{node} has {gib(facts.shm or 0)} GiB in /dev/shm, through which the parts of an "
            "engine talk. Give its container more (docker --shm-size, or an emptyDir in memory).",
        )
    for name, why in facts.unreachable.items():
        yield Finding(
            "problem",
            f"{node} cannot have {name}: {why}. Put the model where every node sees it, or let "
            "nodes reach the hub (HF_TOKEN, for a gated one).",
        )


def _versions_apart(
    node: str, installed: Mapping[str, str | None], wanted: Mapping[str, str | None]
) -> Iterator[Finding]:
    for name, expected in wanted.items():
        version_there = installed.get(name)
        if expected is None or version_there == expected:
            continue
        if name == "python" and version_there and _minor(version_there) == _minor(expected):
            continue
        if version_there is None and name in ("vllm", "s3fs"):
            continue  # not every node needs them
        is_fatal = name in MUST_AGREE or version_there is None
        text = f"{node} has {name} {version_there or 'not at all'}; it is {expected} here."
        remedy = " Use one image everywhere." if is_fatal else " Results may differ by it."
        yield Finding("problem" if is_fatal else "note", text + remedy)


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]


def _planned(study: Path | None, overrides: Sequence[str], findings: list[Finding]) -> Plan | None:
    if study is None:
        return None
    try:
        file = load_study(study, overrides)
        return cover_plan(file, Space(file)) if file.study.has_ranges else make_plan(file)
    except InputError as error:
        findings.append(Finding("problem", f"The study cannot be planned: {error}"))
        return None


def _models(plan: Plan | None) -> dict[str, Model]:
    """Return the models that nodes load, by what the study calls them."""
    if plan is None:
        return {}
    models = {f"train.model {model.place!r}": model for model in plan.models.values()}
    for pool in plan.pools:
        if pool.model and pool.config.engine in ("vllm", "transformers"):
            models[f"generate.model {pool.model.place!r}"] = pool.model
    return models


def _too_small(plan: Plan | None) -> Iterator[Finding]:
    """Say which engines and workers of a study do not fit on any node."""
    if plan is None:
        return
    resources = plan.file.study.resources
    room = OnRay().room(JUDGING_CPUS)
    engines = {pool.config.engine for pool in plan.pools}
    needs = [engine_needs(resources, engine, room) for engine in sorted(engines)]
    checks: list[Callable[[], object]] = [partial(room.fit, need, ENGINE_FIELDS) for need in needs]
    checks.append(partial(check_fleet, resources, OnRay().room()))
    for check in checks:
        try:
            check()
        except ConfigError as error:
            yield Finding("problem", str(error))


def _address(node: Mapping[str, Any]) -> str:
    return str(node["NodeManagerAddress"])


def _is_head(node: Mapping[str, Any]) -> bool:
    return "node:__internal_head__" in node["Resources"]


def _head_first(node: Mapping[str, Any]) -> tuple[bool, str]:
    return not _is_head(node), _address(node)
