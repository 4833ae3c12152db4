"""Engines ``openai`` as tests start them: each asks an endpoint for the rows of one pool."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, replace

from engine.generate.engine import Prompt, Setup
from engine.generate.engines.openai_engine import OpenAIEngine
from engine.generate.engines.openai_pace import Clock
from engine.plan.plan import make_plan
from engine.store.store import Store
from engine.study.config import GenerateConfig
from engine.study.load import load_study
from engine.study.resources import Resources

OWN = {"engine": "openai", "model": "m", "max_tokens": 20}


@dataclass
class HalvingEngine:
    """An engine, and a pool whose rows it answers."""

    engine: OpenAIEngine
    pool: object

    def prompts(self, texts):
        return [Prompt(self.pool.row("good", at), text, self.pool) for at, text in enumerate(texts)]

    def __call__(self, *texts):
        answers = self.engine.complete(self.prompts(texts))
        return [one for _, one in sorted((one.row.index, one) for one in answers)]


def toml(value):
    """Return a value as TOML writes it in a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {toml(one)}' for name, one in value.items()) + "}"
    return json.dumps(value)


def planned(toy, **settings):
    asked = [f"generate.{name}={toml(value)}" for name, value in {**OWN, **settings}.items()]
    file = load_study(toy / "study.toml", ["factors.quantity=[8]", "factors.real=[0]", *asked])
    return make_plan(file).pools[0]


class VirtualClock(Clock):
    """A clock on which nothing takes time but to wait, and that takes none."""

    def __init__(self):
        self._passed = 0.0

    def now(self):
        return self._passed

    async def sleep(self, seconds):
        self._passed += seconds
        await asyncio.sleep(0)  # whoever else has something to do comes first


@contextlib.contextmanager
def engines(pool, folder, clock=None):
    """Yield what starts an engine on a root in a folder; all of them are closed at the end."""
    started = []

    def start(endpoint, resources=None, **settings):
        config = GenerateConfig(**{**OWN, **settings})
        where = Resources(endpoint=endpoint, **{"max_num_seqs": 8, **(resources or {})})
        model = OpenAIEngine.model(pool.task, config)
        setup = Setup(Store.open(str(folder)), config, where, model)
        started.append(OpenAIEngine(setup, clock=clock))
        return HalvingEngine(started[-1], replace(pool, config=config, model=model))

    yield start
    for engine in started:
        engine.close()
