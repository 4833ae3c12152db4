"""Any model behind an OpenAI-compatible endpoint: OpenAI's own, a vendor's, or a vLLM server."""

import asyncio
import contextlib
import math
import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from typing import Any, ClassVar, Literal

from engine.errors import ConfigError, EngineLostError
from engine.generate.engine import Completion, Prompt, Setup
from engine.generate.engines.openai_endpoint import Endpoint, Failed, Refused, Reply, Usage
from engine.generate.engines.openai_pace import Clock, Pace
from engine.models import EMBEDDED, Model
from engine.plugins import did_you_mean
from engine.study.config import GenerateConfig, Structured
from engine.tasks.task import Task

ENGINE_ARGS = {"extra_body": dict, "logprobs": bool}
OWN = frozenset(
    {"model", "messages", "temperature", "top_p", "presence_penalty", "frequency_penalty"}
    | {"max_tokens", "max_completion_tokens", "stop", "seed", "response_format"}
    | {"structured_outputs", "logprobs", "stream", "n"}
)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0  # between tries, at most; the server may ask for more
CLOSING_S = 5.0
CHARACTERS_PER_TOKEN = 4  # of English, roughly; the counted tokens correct it


class OpenAIEngine:
    """Asks an endpoint for chat completions, many at a time.

    Each row sends a seed of its own, drawn from its identity; whether that makes answers repeatable
    is the server's affair. So are sampling settings that OpenAI's API has no name for: a vLLM
    server takes them from the model's ``generation_config.json``, unless ``extra_body`` gives them.
    The endpoint's place is no part of a row's identity: the same model may be served elsewhere.
    ``revision`` tells apart what was served under one name at different times.
    """

    starts_with: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[frozenset[str]] = frozenset(
        {"model", "revision", "engine_args", "temperature", "top_p", "presence_penalty"}
        | {"frequency_penalty", "max_tokens", "stop", "structured"}
    )
    asks: ClassVar[bool] = True
    uses_gpu: ClassVar[bool] = False
    is_concurrent: ClassVar[bool] = True

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> Model:
        """Take the model's name on trust, and check what the endpoint is told besides."""
        if config.model == EMBEDDED:
            raise ConfigError(
                f"generate.model is {EMBEDDED!r}, the default, which no endpoint knows. Write the "
                "name by which the endpoint knows its model."
            )
        for name, value in config.engine_args.items():
            kind = ENGINE_ARGS.get(name)
            if kind is None:
                hint = did_you_mean(name, ENGINE_ARGS)
                raise ConfigError(f"generate.engine_args: unknown argument {name!r}.{hint}")
            if not isinstance(value, kind):
                raise ConfigError(
                    f"generate.engine_args.{name} is {value!r}; it is "
                    f"{'true or false' if kind is bool else 'a table'}."
                )
        twice = sorted(OWN.intersection(config.engine_args.get("extra_body", {})))
        if twice:
            raise ConfigError(
                f"generate.engine_args.extra_body sets {twice[0]!r}, which the engine itself "
                "sends, as the fields of [generate] say."
            )
        identity = {"endpoint_model": config.model, "revision": config.revision}
        return Model(config.model, None, identity)

    def __init__(self, setup: Setup, *, clock: Clock | None = None) -> None:
        resources = setup.resources
        replicas = (
            resources.replicas if isinstance(resources.replicas, int) else max(resources.replicas)
        )
        share = 1 / replicas  # the rates are those of all engines together
        self._endpoint = Endpoint(resources)
        self._clock = clock or Clock()
        requests, tokens = resources.requests_per_minute, resources.tokens_per_minute
        self._requests = Pace(requests and requests * share, self._clock)
        self._tokens = Pace(tokens and tokens * share, self._clock)
        self._patience_s = resources.patience_s
        self._at_once = resources.max_num_seqs
        self._room = asyncio.Semaphore(resources.max_num_seqs)
        self._heard_at = -math.inf
        self._answered: dict[str, Any] | None = None  # the last request that was
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once; what fails is asked again until the endpoint seems lost."""
        ended: SimpleQueue[Future[Completion]] = SimpleQueue()
        asked: set[Future[Completion]] = set()
        try:
            for prompt in prompts:
                future = asyncio.run_coroutine_threadsafe(self._answer(prompt), self._loop)
                asked.add(future)
                future.add_done_callback(ended.put)
                if len(asked) == self._at_once:
                    yield _next(ended, asked)
            while asked:
                yield _next(ended, asked)
        finally:
            for future in asked:
                future.cancel()

    def close(self) -> None:
        """Give up what is being asked, and close the connections."""
        if self._loop.is_closed():
            return
        ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        with contextlib.suppress(TimeoutError):  # the thread is gone when a process ends
            ending.result(CLOSING_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_S)
        if not self._loop.is_running():
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._endpoint.close()

    async def _answer(self, prompt: Prompt) -> Completion:
        request = _request(prompt, is_openai=self._endpoint.is_openai)
        limit = prompt.pool.config.max_tokens
        async with self._room:
            outcome = await self._persist(request, len(prompt.text) / CHARACTERS_PER_TOKEN + limit)
        if isinstance(outcome, Refused):
            return Completion(row=prompt.row, text="", error=outcome.why)
        return _completion(prompt, outcome)

    async def _persist(self, request: dict[str, Any], tokens: float) -> Reply | Refused:
        """Ask until there is an answer; ``tokens`` is how many it is thought to take."""
        began, most = None, FIRST_WAIT_S
        while True:
            await self._requests.wait(1)
            await self._tokens.wait(tokens)
            began = self._clock.now() if began is None else began
            outcome = await self._endpoint.ask(request)
            if not isinstance(outcome, Failed):
                break
            # a part drawn at random, so that what failed together does not come back together
            wait_s = (outcome.wait_s or 0) + random.uniform(0, most)
            try:
                await self._pause(wait_s, began, outcome.why)
            except EngineLostError:
                if not await self._answers_another():
                    raise
                return Refused(f"the endpoint answers others, but not this: {outcome.why}")
            most = min(2 * most, LONGEST_WAIT_S)
        self._heard_at = self._clock.now()
        self._count(outcome, tokens)
        if isinstance(outcome, Reply):
            self._answered = request
        return outcome

    async def _answers_another(self) -> bool:
        """Ask once more what was answered before: is it the endpoint that fails, or the prompt?"""
        if self._answered is None:
            return False
        return isinstance(await self._endpoint.ask(self._answered), Reply)

    def _count(self, outcome: Reply | Refused, tokens: float) -> None:
        """Correct the tokens that an answer was thought to take; a refused prompt takes none."""
        if isinstance(outcome, Refused):
            self._tokens.correct(-tokens)
        elif outcome.usage and outcome.usage.prompt_tokens is not None:
            taken = outcome.usage.prompt_tokens + (outcome.usage.completion_tokens or 0)
            self._tokens.correct(taken - tokens)

    async def _pause(self, seconds: float, began: float, why: str) -> None:
        """Wait before a request is sent again; give up when none has been answered for too long."""
        until = self._clock.now() + seconds
        while (remaining := until - self._clock.now()) > 0:
            patience = max(began, self._heard_at) + self._patience_s - self._clock.now()
            if patience <= 0:
                raise EngineLostError(
                    f"The endpoint {self._endpoint.url} has answered no request for "
                    f"{self._patience_s:g} s (resources.patience_s), though asked again and again. "
                    f"The last try: {why}. See that it is up and not overrun (resources: "
                    "max_num_seqs, requests_per_minute, tokens_per_minute), and start again: the "
                    "rows that are there are kept.",
                    is_for_good=True,  # another engine would ask the same endpoint
                )
            await self._clock.sleep(min(remaining, patience))


def _next(ended: SimpleQueue[Future[Completion]], asked: set[Future[Completion]]) -> Completion:
    future = ended.get()
    asked.remove(future)
    try:
        return future.result()
    except CancelledError:
        raise EngineLostError("The engine was closed before it had answered everything.") from None


def _request(prompt: Prompt, *, is_openai: bool) -> dict[str, Any]:
    """Return what is sent for a prompt."""
    config = prompt.pool.config
    # OpenAI's reasoning models take only the new name; many other servers know only the old one.
    limit = "max_completion_tokens" if is_openai else "max_tokens"
    request = {
        "model": config.model,
        "messages": [{"role": "user", "content": prompt.text}],
        "seed": prompt.row.draws("sampling").seed(),
        limit: config.max_tokens,
        # always: a vLLM server's defaults for these two are the model's
        "temperature": config.temperature,
        "top_p": config.top_p,
        "extra_body": dict(config.engine_args.get("extra_body", {})),
    }
    for name in ("presence_penalty", "frequency_penalty", "stop"):
        if value := getattr(config, name):  # some servers do not know them
            request[name] = value
    if config.engine_args.get("logprobs"):
        request["logprobs"] = True
    if config.structured:
        _hold(request, config.structured, is_openai=is_openai)
    return request


def _hold(request: dict[str, Any], form: Structured, *, is_openai: bool) -> None:
    """Ask for the form of a completion."""
    if form.json_schema is not None:
        schema = {"name": "completion", "schema": form.json_schema, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif is_openai:
        raise ConfigError(
            "generate.structured: OpenAI's endpoint holds completions to a json_schema only, not "
            "to a choice or a regex. If it is [baseline] that asks for a choice of the labels: "
            "baseline.constrained = false."
        )
    else:
        request["extra_body"]["structured_outputs"] = form.model_dump(exclude_none=True)  # vLLM's


def _completion(prompt: Prompt, reply: Reply) -> Completion:
    answer, usage = reply.choices[0], reply.usage or Usage()
    error = None
    if answer.finish_reason == "content_filter":
        error = "the endpoint's content filter took the answer back"
    elif answer.message.refusal:
        error = "the model refuses to answer"
    tokens = (answer.logprobs.content if answer.logprobs else None) or []
    details = usage.prompt_tokens_details
    return Completion(
        row=prompt.row,
        text="" if error else answer.message.content or "",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish_reason=_finish(answer.finish_reason),
        mean_logprob=sum(token.logprob for token in tokens) / len(tokens) if tokens else None,
        cached_tokens=details.cached_tokens if details else None,
        error=error,
    )


def _finish(reason: str | None) -> Literal["stop", "length"] | None:
    match reason:
        case "stop" | "length":
            return reason
    return None
