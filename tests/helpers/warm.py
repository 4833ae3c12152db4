"""Imported for what it loads: all that commands need, those that embed texts too."""

import gc
from importlib import import_module

LOADED = (
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "pandas",
    "scipy.stats",
    "sklearn.isotonic",
    "sklearn.metrics",
    "statsmodels.stats.multitest",
    "torch",
    "engine.bert",
    "engine.report.figure",
    "engine.pipeline",
    "engine.search.report.page",
    "engine.search.search",
    "engine.search.trials_here",
    "jobs.cli",
    "jobs.terminal.findings",
    "jobs.terminal.search",
)

for name in LOADED:
    import_module(name)
gc.collect()
gc.freeze()  # so that what is forked shares it
