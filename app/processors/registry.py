"""Which processors there are: entry points of the group `sigstream.processors`, imported when enabled."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveFloat

from app.config import Settings
from app.errors import ConfigurationError
from app.processors.base import Processor
from app.processors.run import BUDGET_S, Enabled

GROUP = "sigstream.processors"


class ProcessorConfig(BaseModel):
    """Of one processor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    params: dict[str, Any] = {}
    """Keyword arguments of its class."""
    budget_s: PositiveFloat = BUDGET_S
    """Its time for one block."""


def enabled_processors(settings: Settings) -> tuple[Enabled, ...]:
    """Those that the settings enable, in their order. Raises ConfigurationError."""
    configs = {
        name: ProcessorConfig(
            params=settings.processor_params.get(name, {}), budget_s=settings.processor_budget_s
        )
        for name in settings.processors
    }
    if unknown := sorted(set(settings.processor_params) - set(configs)):
        raise ConfigurationError(
            f"SIGSTREAM_PROCESSOR_PARAMS names {', '.join(unknown)}, not among SIGSTREAM_PROCESSORS: "
            f"{', '.join(settings.processors)}"
        )
    return make_processors(configs)


def make_processors(configs: Mapping[str, ProcessorConfig]) -> tuple[Enabled, ...]:
    """The enabled ones of `configs`, by entry point name. Raises ConfigurationError."""
    found = available()
    return tuple(
        Enabled(_make(name, found, config.params), config.budget_s)
        for name, config in configs.items()
        if config.enabled
    )


def available() -> dict[str, EntryPoint]:
    """Name -> entry point of every processor that is installed; nothing is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _make(name: str, found: Mapping[str, EntryPoint], params: Mapping[str, Any]) -> Processor:
    if name not in found:
        raise ConfigurationError(
            f"no processor {name!r} is installed, there are {', '.join(sorted(found))}: correct "
            f"SIGSTREAM_PROCESSORS, or install the package whose entry point ({GROUP}) it is"
        )
    try:
        made: Processor = found[name].load()(**params)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"processor {name!r} ({found[name].value}) can't be imported: {error}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"processor {name!r} refuses its parameters {dict(params)}: {error}; correct "
            "SIGSTREAM_PROCESSOR_PARAMS"
        ) from error
    if made.name != name:
        raise ConfigurationError(f"processor {name!r} calls itself {made.name!r}: both must be the same")
    return made
