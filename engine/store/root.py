"""The root, where all work lies, if a command or a script names no other."""

DEFAULT = "textmill-out"  # in the folder of who works
