"""Where a study notes what of the store it refers to."""


def reference_file(study: str) -> str:
    """Return the name of the file with what a study refers to."""
    return f"studies/{study}/references.json"
