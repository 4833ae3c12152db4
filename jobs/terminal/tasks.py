"""What ``textmill tasks`` prints."""

from pathlib import Path
from textwrap import fill, indent

from engine.prompts.phrases import listed
from engine.prompts.samples import sample_prompts
from engine.tasks.task import builtin_tasks, load_task

FEW_TOPICS = 12  # how many are shown
WIDTH = 96  # characters of a line of them


def tasks() -> str:
    """Return the built-in tasks, a line each."""
    builtin = {name: load_task(name, path.parent) for name, path in builtin_tasks().items()}
    width = max(map(len, builtin))
    lines = [
        f"{name:<{width}}  {len(builtin_task.labels)} labels: {listed(builtin_task.labels)}"
        for name, builtin_task in builtin.items()
    ]
    return "\n".join(lines) + "\n"


def task(name: str) -> str:
    """Return one task: labels, splits, fields, topics, and a prompt of each kind."""
    shown = load_task(name, Path.cwd())
    width = max(map(len, [*shown.labels, *shown.splits, *shown.fields]))
    lines = [shown.name, "", "labels"]
    lines += [f"  {label:<{width}}  {text}" for label, text in shown.labels.items()]
    lines += ["", "splits"]
    lines += [f"  {split:<{width}}  {source}" for split, source in shown.splits.items()]
    lines += ["", "fields"]
    lines += [f"  {field:<{width}}  shown as {called!r}" for field, called in shown.fields.items()]
    if shown.topics:
        more = len(shown.topics) - FEW_TOPICS
        topics = ", ".join(shown.topics[:FEW_TOPICS]) + (f", and {more} more" if more > 0 else "")
        lines += ["", f"{len(shown.topics)} topics", indent(fill(topics, WIDTH), "  ")]
    if shown.trivial_words:
        lines += ["", "words that give a label away", f"  {', '.join(shown.trivial_words)}"]
    label = next(iter(shown.labels))
    lines += ["", f"prompts, where a label is asked for: of {label!r}; <...> stands for a text"]
    for title, text in sample_prompts(shown, shots=(3, 5)):
        lines += ["", title, _indented(text)]
    return "\n".join(lines) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}".rstrip() for line in text.splitlines())
