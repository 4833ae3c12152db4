"""What one engine takes of a node."""

from engine.generate.engine import engine_class
from engine.nodes.room import Room, custom_needs
from engine.study.resources import Resources

JUDGING_CPUS = 0.25  # of one that judges rows, beside the engines
FIELDS = "resources.engine_cpus, engine_gpus, engine_accelerator and engine_resources"


def engine_needs(where: Resources, engine: str, room: Room) -> dict[str, float]:
    """Return what one actor of an engine takes, by resource."""
    split = where.tensor_parallel * where.pipeline_parallel
    gpus = float(split) if where.engine_gpus is None else where.engine_gpus
    has_any = engine_class(engine).uses_gpu and (where.engine_gpus is not None or room.has_gpu)
    places = custom_needs(where.engine_accelerator if has_any else None, where.engine_resources)
    return {"CPU": where.engine_cpus, "GPU": gpus if has_any else 0.0, **places}
