"""Topics that an LLM lists, for the strategy ``topic``.

Source: Li et al. 2024, arXiv:2407.12813, appendix A: one call asks for 500 topics of a kind that
suits the texts to be written. Here several calls ask for ``AT_ONCE`` each, so that a model with
short answers can do it too, until there are enough different ones.
"""

import re
from collections.abc import Iterable

from engine.prompts.strategy import Asked
from engine.store.schema import RowId
from engine.tasks.task import Task

AT_ONCE = 50  # topics that one call asks for
SENTENCE = 5  # words: fewer, though with a full stop, may well be a topic
LONGEST = 100  # characters; what is longer is no topic, but talk around the list
_MARK = re.compile(r"\A\W*(?:\d{1,3}\s*[.):]|[-*\u2022])?\s*")


class TopicList:
    """Asks for a list of topics.

    Args:
        task: The task, whose wording says of what kind they are.
        count: How many are wanted in all.
    """

    def __init__(self, task: Task, count: int) -> None:
        kind, each = task.wording.topics, min(count, AT_ONCE)
        self._prompt = (
            f"List {each} {kind}, as different from each other as you can think of.\n"
            "Answer with the list alone, one on each line, without numbers."
        )

    def ask(self, row: RowId) -> Asked:
        """Word one row's prompt, which is that of every other row: answers differ by sampling."""
        return Asked(self._prompt, {})


def topics_in(answers: Iterable[str]) -> list[str]:
    """Return the topics that answers list, each once, in order.

    Marks and numbers before a topic are taken off. What is no topic but talk is left out: lines
    that end with a colon, such as "Here are some topics:", whole sentences, and what is too long.
    Topics that differ in case, or in punctuation around them, are one.
    """
    topics: dict[str, str] = {}
    for answer in answers:
        for line in answer.splitlines():
            topic = _MARK.sub("", line).strip().strip("*_\"'.,;").strip()
            if topic and len(topic) <= LONGEST and not _is_talk(line):
                topics.setdefault(topic.casefold(), topic)
    return list(topics.values())


def _is_talk(line: str) -> bool:
    bare = line.rstrip(" *_\"'")
    is_sentence = bare.endswith((".", "!", "?")) and len(bare.split()) >= SENTENCE
    return bare.endswith(":") or is_sentence
