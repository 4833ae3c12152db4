"""A strategy, a row filter and an engine of one's own; README.md says what each rests on."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from engine.api import (
    Asked,
    Candidate,
    Completion,
    ConfigError,
    Context,
    GenerateConfig,
    Model,
    Prompt,
    RowId,
    Setup,
    Shot,
    Task,
    request,
    resolve_file,
)


class Persona:
    """A strategy: each row is asked for in the voice of somebody who is drawn for it."""

    reads = frozenset({"attributes"})  # fields of [generate]
    uses_shots = False  # True: `shots` are the real rows that prompts may show

    def __init__(self, task: Task, config: GenerateConfig, shots: Sequence[Shot]) -> None:
        self.task, self.personas = task, config.attributes.get("persona", [])
        if not self.personas:
            raise ConfigError('mine:Persona needs generate.attributes.persona = ["...", "..."].')

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt. Same row, same prompt."""
        persona = row.draws("persona").choice(self.personas)
        prompt = request(self.task, row.slot, f"Write as {persona} would.")
        return Asked(prompt, {"persona": persona})


class WebAddress:
    """A row filter: refuses texts that hold a web address."""

    reads: frozenset[str] = frozenset()  # fields of [curate]
    compares: frozenset[str] = frozenset()  # splits that `context.gold` is to hold, such as "test"
    remembers = False  # True: what it says of a row depends on the label's earlier rows

    def __init__(self, context: Context) -> None:
        pass

    def __call__(self, row: Candidate) -> str | None:
        """Return the reason to refuse the row, or None."""
        texts = f"{row.text}\n{row.text_pair or ''}"
        return "web_address" if re.search(r"https?://|www\.", texts) else None


class Program:
    """An engine: runs a program for each row, which reads the prompt and prints the answer."""

    reads = frozenset({"model", "engine_args"})  # fields of [generate]
    starts_with = frozenset({"model", "engine_args"})  # those of them that __init__ reads
    asks = True  # False: it needs no prompts, so no strategy
    uses_gpu = False
    is_concurrent = False  # True: threads call `complete` at the same time

    @staticmethod
    def model(task: Task, config: GenerateConfig) -> Model:
        """Return what stands for the model in identities, after every check to be made early."""
        if not config.engine_args.get("command"):
            raise ConfigError('mine:Program needs generate.engine_args = {command = ["..."]}.')
        if Path(config.model).is_absolute():  # as "./my.gguf" is by now: it counts by its content
            return resolve_file(config.model, "generate.model")
        return Model(config.model, None, identity=config.model)  # a name, which we trust

    def __init__(self, setup: Setup) -> None:
        place = setup.model.place if setup.model else ""
        self.command = [*setup.config.engine_args["command"], place]
        self.timeout_s = setup.resources.request_timeout_s
        if not shutil.which(self.command[0]):
            raise ConfigError(f"mine:Program finds no program {self.command[0]!r}.")

    def complete(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Answer every prompt once."""
        for prompt in prompts:
            text, error = self.answer(prompt.text)
            yield Completion(row=prompt.row, text=text, error=error)

    def answer(self, prompt: str) -> tuple[str, str | None]:
        """Return what the program prints, and why that is nothing, if it is."""
        try:
            done = subprocess.run(
                self.command,
                input=prompt,
                capture_output=True,
                timeout=self.timeout_s,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            return "", f"no answer within {self.timeout_s:g} s"
        if done.returncode:
            return "", f"exit status {done.returncode}: {done.stderr.strip()[-200:]}"
        return done.stdout, None

    def close(self) -> None:
        """Let go of everything; every program has ended by now."""
