# What there is to do in a checkout: `just --list`. Each line runs as it stands, in an environment
# with `pip install -e '.[dev]'`.

# An environment in .venv with all that tests need; torch first, or pip may take another version.
setup:
    python3 -m venv .venv
    .venv/bin/pip install torch==2.13.0
    .venv/bin/pip install -e '.[dev]'

# Lint, format and types, as they must be.
check:
    ruff check engine jobs tests
    ruff format --check engine jobs tests
    mypy

# Mend what ruff can mend, and write the pages of fields again.
fix:
    ruff check --fix engine jobs tests
    ruff format engine jobs tests
    python -m engine.study.reference

# The loop: tests that start neither Ray nor a process.
test *ARGS:
    pytest tests/unit {{ ARGS }}

# The tests that import what differs from main; also whole commands with --all.
test-changed *ARGS:
    python tests/helpers/changed.py {{ ARGS }}

# All tests but those that take minutes each.
test-all *ARGS:
    pytest {{ ARGS }}

# All tests.
test-long *ARGS:
    pytest --long {{ ARGS }}

# A measurement, such as `just bench curate`.
bench NAME *ARGS:
    textmill bench {{ NAME }} {{ ARGS }}
