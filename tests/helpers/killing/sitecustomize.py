"""Every Python process that has this folder on its PYTHONPATH, and a folder's name in KILLING, dies
where that folder says.
"""

import os

if os.path.isdir(os.environ.get("KILLING", "")):  # noqa: PTH112 - pathlib takes long to load
    from commit_killer import obey

    obey(os.environ["KILLING"], is_command=bool(os.environ.pop("COMMAND", "")))
