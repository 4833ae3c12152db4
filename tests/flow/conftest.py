"""The tier's tests may ask for the session's Ray."""

from session_ray import ray_up

__all__ = ["ray_up"]
