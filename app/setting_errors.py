"""What is said of settings that can't be read; never what a secret held."""

from collections.abc import Container
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.errors import ConfigurationError


def wrong_values(error: ValidationError, secrets: Container[str]) -> ConfigurationError:
    """Each variable that is wrong, and what it held, in one line; `secrets` are fields not to show."""
    return ConfigurationError("; ".join(_explain(each, secrets) for each in error.errors()))


def _explain(error: Any, secrets: Container[str]) -> str:
    """A value with `@` may be an address with a password."""
    name = "_".join(str(part) for part in error["loc"][:1])
    found = repr(error["input"])
    hidden = name in secrets or "@" in found
    return f"SIGSTREAM_{name.upper()} is {'wrong (not shown)' if hidden else found}: {error['msg']}"


def unreadable(error: Exception) -> ConfigurationError:
    """A file of settings that can't be read; of its content nothing is said."""
    why = error.__cause__ or error
    what = f"{why.strerror}: {why.filename}" if isinstance(why, OSError) else "not UTF-8"
    where = str(error) if isinstance(error, SettingsError) else "a file with settings can't be read"
    return ConfigurationError(f"{where} ({what}): look at .env and the files of SIGSTREAM_SECRETS_DIR")
