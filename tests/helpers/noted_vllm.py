"""vLLM's engine, noting its processes; and strategies that word the same prompts for any pool.

``generate.engine_args.notes`` names the folder of the notes.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

from breaking_engines import alive, note, notes

from engine.generate.engines.vllm_engine import VllmEngine
from engine.prompts.strategies.few_shot import FewShot
from engine.prompts.strategies.topic import Topic
from engine.store.schema import RowId


class Noted(VllmEngine):
    """Notes its process, and which others, started before it, are there when it is ready."""

    def __init__(self, setup):
        args = dict(setup.config.engine_args)
        self.folder = Path(args.pop("notes"))
        note(self.folder / "starts", os.getpid())
        config = setup.config.model_copy(update={"engine_args": args})
        super().__init__(replace(setup, config=config))
        for pid in set(alive(self.folder)) - {str(os.getpid())}:
            note(self.folder / "met", pid)


class InPairs(Noted):
    """Answers nothing before two have started."""

    def complete(self, prompts):
        while len(notes(self.folder / "starts")) < 2:
            time.sleep(0.1)
        yield from super().complete(prompts)


class InProcessesOfItsOwn(Noted):
    """Runs vLLM's engine as it runs on a GPU: in another process."""

    def __init__(self, setup):
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
        super().__init__(setup)


class SameTopic(Topic):
    """Draws the topics that every pool draws."""

    def ask(self, row):
        return super().ask(RowId("any", row.slot, row.index))


class SameFewShot(FewShot):
    """Shows the rows that every pool shows."""

    def ask(self, row):
        return super().ask(RowId("any", row.slot, row.index))
