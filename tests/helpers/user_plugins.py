"""Plug-ins of a user's own, as studies in tests name them: ``user_plugins:Name``."""

import time
from dataclasses import replace
from pathlib import Path

from toy_study import GOOD, THINGS

from engine.errors import EngineLostError
from engine.generate.engine import Completion
from engine.models import Model
from engine.prompts.strategies.zero_shot import ZeroShot
from engine.train.trainer import Trained


class Slow:
    """Answers each prompt with a text of its own, after a moment."""

    reads = frozenset()
    starts_with = frozenset()
    asks = True
    uses_gpu = False
    is_concurrent = False

    @staticmethod
    def model(task, config):
        return None

    def __init__(self, setup):
        pass

    def complete(self, prompts):
        for prompt in prompts:
            time.sleep(0.01)
            word = ("awful", "superb")[prompt.row.slot == "good"]
            text = f"the soup was {word} on visit {prompt.row.index}"
            yield Completion(row=prompt.row, text=text, finish_reason="stop", completion_tokens=9)

    def close(self):
        pass


class Listing(Slow):
    """Lists topics where no label is asked for."""

    @staticmethod
    def model(task, config):
        return Model("lister", None, "lister")

    def complete(self, prompts):
        for prompt in prompts:
            if prompt.row.slot in ("bad", "good"):
                yield from super().complete([prompt])
                continue
            text = "".join(f"- {thing} {prompt.row.index}\n" for thing in THINGS)
            yield Completion(row=prompt.row, text=text, finish_reason="stop", completion_tokens=9)


class Backwards(Slow):
    """Answers in the opposite order."""

    def complete(self, prompts):
        yield from reversed(list(super().complete(prompts)))


class Forgetful(Slow):
    """Leaves the last prompt unanswered."""

    def complete(self, prompts):
        yield from list(super().complete(prompts))[:-1]


class Stammering(Slow):
    """Answers the first prompt twice."""

    def complete(self, prompts):
        answers = list(super().complete(prompts))
        yield from [answers[0], *answers]


class Labelling(Slow):
    """Writes rows, and labels real ones: of five the first without sense, and unless it is shown
    examples the second wrongly."""

    @staticmethod
    def model(task, config):
        return Model("labeller", None, "labeller")

    def complete(self, prompts):
        for prompt in prompts:
            if prompt.row.slot not in ("validation", "test"):
                yield from super().complete([prompt])
                continue
            asked = prompt.text.rpartition("Review: ")[2]
            right = any(word in asked for word in GOOD)
            said = ("bad", "good")[right if self.knows(prompt) else not right]
            text = "Good or bad? I cannot say." if prompt.row.index % 5 == 0 else f"{said.upper()}."
            yield Completion(
                row=prompt.row,
                text=text,
                finish_reason="stop",
                prompt_tokens=7,
                completion_tokens=2,
            )

    def knows(self, prompt):
        return prompt.row.index % 5 != 1 or "Label: " in prompt.text


class Lost(Labelling):
    """Does not work."""

    def complete(self, prompts):
        raise EngineLostError("the wire was cut", is_for_good=True)


class Refusing(Slow):
    """Declines everything."""

    def complete(self, prompts):
        for prompt in prompts:
            yield Completion(row=prompt.row, text="I'm sorry, but I can't help with that.")


class Waiting(Slow):
    """Answers the first rows of each label, and the others once there are runs in a folder."""

    is_concurrent = True  # calls may come in any order
    reads = frozenset({"engine_args"})

    def __init__(self, setup):
        self.folder = Path(setup.config.engine_args["folder"])
        self.free = setup.config.engine_args["free"]

    def complete(self, prompts):
        for prompt in sorted(prompts, key=lambda prompt: prompt.row.index):
            for _ in range(2400):
                if prompt.row.index < self.free or any(self.folder.glob("*.json")):
                    break
                time.sleep(0.1)
            else:
                raise TimeoutError("nothing was trained meanwhile")
            yield from super().complete([prompt])


class Unhurried:
    """A row filter that accepts everything, after a moment."""

    reads = frozenset()
    compares = frozenset()
    remembers = False

    def __init__(self, context):
        pass

    def __call__(self, row):
        time.sleep(0.01)


class Solitary(ZeroShot):
    """Words a row for one caller at a time."""

    def __init__(self, task, config, shots):
        super().__init__(task, config, shots)
        self._callers = 0

    def ask(self, row):
        self._callers += 1
        time.sleep(0.001)
        assert self._callers == 1
        self._callers -= 1
        return super().ask(row)


class Guess:
    """Trains nothing, and says the first training row's label of every row."""

    reads = frozenset()
    draws = splits = False

    def __init__(self, store):
        pass

    def train(self, run, rows, scored, how):
        said = run.mix.labels.index(rows.examples[0].label)
        predictions = {split: [said] * len(own.examples) for split, own in scored.items()}
        return Trained(predictions=predictions, seconds=0.0)


class Kept(Guess):
    """The same; the label that it says can be kept."""

    def train(self, run, rows, scored, how):
        said = rows.examples[0].label

        def save(folder):
            (folder / "label").write_text(said, encoding="utf-8")

        return replace(super().train(run, rows, scored, how), save=save)


class Dawdling(Guess):
    """Trains nothing, which takes a moment, and draws: the label that it says is its repeat's."""

    draws = True

    def train(self, run, rows, scored, how):
        time.sleep(0.2)
        said = run.repeat % len(run.mix.labels)
        predictions = {split: [said] * len(rows.examples) for split, rows in scored.items()}
        return Trained(predictions=predictions, seconds=0.2)
