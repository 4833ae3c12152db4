"""The thread that owns vLLM's engine: hands it requests, steps it, and hands back answers."""

import itertools
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from engine.errors import EngineLostError
from engine.generate.engine import Setup
from engine.generate.engines.vllm_output import Transcript
from engine.generate.engines.vllm_start import remedy, start

LOOK_S = 1.0  # between two looks whether the engine still moves


class Answer(NamedTuple):
    """What became of a request: vLLM's output, or why there is none."""

    request: str
    output: Any
    error: str = ""


class _Request(NamedTuple):
    name: str
    tokens: Sequence[int]
    params: Any
    adapter: Any
    answers: "queue.SimpleQueue[Answer]"


class _LogprobSum:
    """Stands in for vLLM's LogprobsProcessor, and only adds up.

    vLLM's keeps every token's rank and text as well, which takes two thirds of the time that it has
    for answers once they are drawn, in the thread that steps the engine.
    """

    logprobs = prompt_logprobs = None

    def __init__(self) -> None:
        self.cumulative_logprob = 0.0

    def update_from_output(self, output: Any) -> None:  # noqa: ANN401 - EngineCoreOutput
        if output.new_logprobs is not None:
            for of_position in output.new_logprobs.logprobs:
                self.cumulative_logprob += of_position[0].item()  # the token drawn comes first


class Steps:
    """The thread that owns vLLM's engine: hands it requests, steps it, and hands back answers.

    So there is no border between calls: a row joins the batch when there is room for it. vLLM's own
    loop is asynchronous, which costs a task for each row; its synchronous one ends when all rows
    that it was given do.

    Attributes:
        engine: vLLM's LLMEngine.
    """

    engine: Any

    def __init__(self, setup: Setup, args: Mapping[str, Any]) -> None:
        self._transcript = Transcript()
        self._inbox: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._names = map(str, itertools.count())
        self._naming = threading.Lock()
        self._asked: dict[str, queue.SimpleQueue[Answer]] = {}
        self._moved = time.monotonic()  # when the engine last gave a sign of life
        self._death = ""
        started: Future[Any] = Future()
        self._thread = threading.Thread(target=self._run, args=(setup, args, started), daemon=True)
        self._thread.start()
        self.engine = started.result()

    def submit(
        self,
        tokens: Sequence[int],
        params: Any,  # noqa: ANN401 - vLLM's SamplingParams
        adapter: Any,  # noqa: ANN401 - vLLM's LoRARequest
        answers: "queue.SimpleQueue[Answer]",
    ) -> str:
        """Ask for an answer, to be put into ``answers``; return the request's name."""
        with self._naming:
            name = next(self._names)
        self._inbox.put(_Request(name, tokens, params, adapter, answers))
        return name

    def check(self, patience_s: float) -> None:
        """Make sure that the engine lives and moves.

        Raises:
            EngineLostError: It does not.
        """
        if _core_is_dead(self.engine):
            self._thread.join(LOOK_S)  # it may know why
            cause = "its process was killed, perhaps for want of memory"
            raise EngineLostError(self._death or f"vLLM's engine died: {cause}. {remedy(cause)}")
        if self._death:
            raise EngineLostError(self._death)
        if self._asked and time.monotonic() - self._moved > patience_s:
            raise EngineLostError(f"vLLM's engine gave no sign of life for {patience_s:g} s")

    def close(self) -> None:
        """End the thread, and vLLM's processes."""
        self._inbox.put(None)
        self._thread.join(timeout=10)
        self.engine.engine_core.shutdown()

    def _run(self, setup: Setup, args: Mapping[str, Any], started: Future[Any]) -> None:
        try:  # in the thread that steps it: how many threads it has is a thread's own setting
            engine = start(setup, args, self._transcript)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            started.set_exception(error)
            return
        started.set_result(engine)
        self._step(engine)

    def _step(self, engine: Any) -> None:  # noqa: ANN401 - LLMEngine
        try:
            while self._take_requests(engine):
                for output in engine.step():
                    self._asked.pop(output.request_id).put(Answer(output.request_id, output))
                self._moved = time.monotonic()
        except BaseException as error:  # noqa: BLE001 - told by the threads that wait for answers
            print(self._transcript.text, file=sys.stderr, flush=True)  # for Ray's logs
            cause = self._transcript.last_error() or f"{type(error).__name__}: {error}"
            self._death = f"vLLM's engine died: {cause}. {remedy(cause)}"

    def _take_requests(self, engine: Any) -> bool:  # noqa: ANN401 - LLMEngine
        """Hand the engine what was submitted, waiting if it has nothing to do; False at the end."""
        while not self._inbox.empty() or not self._asked:
            request = self._inbox.get()
            if request is None:
                return False
            if not self._asked:
                self._moved = time.monotonic()
            self._add(engine, request)
        return True

    def _add(self, engine: Any, request: _Request) -> None:  # noqa: ANN401 - LLMEngine
        prompt = {"prompt_token_ids": list(request.tokens)}
        try:
            engine.add_request(request.name, prompt, request.params, lora_request=request.adapter)
        except Exception as error:
            if type(error).__name__ == "EngineDeadError":
                raise
            # of this request alone
            request.answers.put(Answer(request.name, None, str(error)))
            return
        just_added = next(reversed(engine.output_processor.request_states.values()))
        just_added.logprobs_processor = _LogprobSum()
        self._asked[request.name] = request.answers


def _core_is_dead(engine: Any) -> bool:  # noqa: ANN401 - LLMEngine
    """Say whether vLLM's process, if it has one of its own, has ended.

    vLLM 0.29 notes it, but does not wake who waits for its answer if it was killed.
    """
    resources = getattr(engine.engine_core, "resources", None)
    return bool(getattr(resources, "engine_dead", False))
