"""What one engine takes of a node."""

from engine.generate.engine import engine_class
from engine.nodes.room import Room, custom_needs
from engine.study.resources import Resources

JUDGING_CPUS = 0.25  # of one that judges rows, beside the engines
FIELDS = "resources.engine_cpus, engine_gpus, engine_accelerator and engine_resources"


def engine_needs(resources: Resources, engine: str, room: Room) -> dict[str, float]:
    """Return what one actor of an engine takes, by resource."""
    split = resources.tensor_parallel * resources.pipeline_parallel
    gpus = float(split) if resources.engine_gpus is None else resources.engine_gpus
    has_any = engine_class(engine).uses_gpu and (resources.engine_gpus is not None or room.has_gpu)
    places = custom_needs(
        resources.engine_accelerator if has_any else None, resources.engine_resources
    )
    return {"CPU": resources.engine_cpus, "GPU": gpus if has_any else 0.0, **places}
