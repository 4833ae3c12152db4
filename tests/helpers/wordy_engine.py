"""An engine whose answers take room on a disk: ``wordy_engine:Wordy``."""

from user_plugins import Slow

from engine.generate.engine import Completion

WORDS = 300  # of an answer, about 3 kB that compress badly


class Wordy(Slow):
    """Answers each prompt with many words of its own."""

    def complete(self, prompts):
        for prompt in prompts:
            draws = prompt.row.draws("wordy")
            text = " ".join(f"{draws.below(10**9):x}" for _ in range(WORDS))
            yield Completion(row=prompt.row, text=text, finish_reason="stop", completion_tokens=9)
