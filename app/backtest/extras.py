"""Libraries that only the backtest needs: the extra `backtest`."""

from importlib import import_module
from typing import Any

from app.errors import ConfigurationError


def need(module: str) -> Any:
    """A module of the extra. Raises ConfigurationError with the remedy where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigurationError(
            f"`sigstream backtest` needs {package} for this, which is not installed ({error}): "
            "pip install 'sigstream[backtest]'"
        ) from error
