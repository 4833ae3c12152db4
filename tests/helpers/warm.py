"""Imported for what it loads: what commands need, those that embed texts too."""

import gc

import datasets  # noqa: F401
import matplotlib.backends.backend_agg
import matplotlib.backends.backend_svg
import matplotlib.figure  # noqa: F401
import sentence_transformers  # noqa: F401

import jobs.cli
import jobs.terminal.findings  # noqa: F401

gc.collect()
gc.freeze()  # so that what is forked shares it
