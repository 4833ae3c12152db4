"""Say how to go on when a process is ended before it can say so itself.

Ray ends the process that uses it, from a thread of its own and without a word, when its head or the
raylet of the machine is gone; and so does a system that is short of memory. No exception is raised
then, so that somebody else must speak: a shell that waits for the end of a pipe.
"""

import contextlib
import subprocess
from collections.abc import Iterator

# if no word has come the pipe has ended by itself; apart, for Ray ends all children of a process
_SPEAKER = 'exec 3<&0; { read -r word <&3 || printf "%s\\n" "$0" >&2; } &'


@contextlib.contextmanager
def last_word(text: str) -> Iterator[None]:
    """Have a text written to standard error if this process ends within the body.

    Args:
        text: One line.
    """
    # in a session of its own: Ctrl-C is for the command, which says what that means
    speaker = subprocess.Popen(
        ["/bin/sh", "-c", _SPEAKER, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert speaker.stdin
    speaker.wait()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody has killed it
            speaker.stdin.write(b"all is well\n")
            speaker.stdin.close()
