"""What ``textmill clean`` prints."""

from engine.store.orphans import orphans, remove
from engine.store.store import Store
from jobs.terminal.plan import HOUR_S


def clean(root: str, older_than_h: float, *, remove_them: bool) -> str:
    """Return what no study refers to, and remove it if told to."""
    store = Store.open(root)
    unreferenced = orphans(store)
    ahead = [orphan for orphan in unreferenced if orphan.age_s < 0] if older_than_h else []
    old = [
        orphan
        for orphan in unreferenced
        if orphan.age_s >= older_than_h * HOUR_S or not older_than_h
    ]
    lines = [
        f"  {orphan.size / 1024:>10,.0f} KiB {orphan.age_s / HOUR_S:>10,.1f} h  {orphan.name}"
        for orphan in old
    ]
    size = sum(orphan.size for orphan in old)
    total = f"{len(old)} files and folders that no study refers to, {size:,} bytes"
    if remove_them:
        for orphan in old:
            remove(store, orphan)
        lines.append(f"Removed {total}.")
    else:
        lines.append(f"{total}." + (" Remove them with --yes." if old else ""))
    if ahead:
        lines.append(
            f"{len(ahead)} more bear a time that is still to come, so that their age is not known, "
            "and were left alone: a clock was set back, or another machine's is ahead. "
            "--older-than 0 takes them, too."
        )
    spared = len(unreferenced) - len(old) - len(ahead)
    if spared:
        lines.append(f"{spared} more were written in the last {older_than_h:g} h and left alone.")
    return "\n".join(lines)
