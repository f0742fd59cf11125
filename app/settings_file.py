"""The file of settings: lines `SIGSTREAM_NAME=value`, read whole, and strictly."""

from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from app.errors import ConfigurationError

PREFIX = "sigstream_"


def read_settings_file(path: Path) -> dict[str, str]:
    """Text by field; empty where there is no file. What is not ours is left out.

    Raises ConfigurationError with the line that is no setting: python-dotenv passes over such a line, and
    what it sets would silently go back to its default. The line itself may hold a password.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8: {error}") from None
    _check(path, text)
    values = dotenv_values(stream=StringIO(text))
    return {
        name.lower().removeprefix(PREFIX): value
        for name, value in values.items()
        if value is not None and name.lower().startswith(PREFIX)
    }


def _check(path: Path, text: str) -> None:
    for found in parse_stream(StringIO(text)):
        ours = found.key is not None and found.key.lower().startswith(PREFIX)
        if found.error or (ours and found.value is None):
            original = found.original.string
            line = found.original.line + len(original) - len(original.lstrip("\n"))
            raise ConfigurationError(
                f"{path} line {line} can't be read: write NAME=value, with quotes that are closed"
            )
