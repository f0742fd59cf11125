"""Addresses of servers as people write them."""

import httpx

from app.errors import ConfigurationError


def checked_url(
    name: str, text: str, *, write: str = "http://host:port", login: str = "leave them out"
) -> str:
    """The address, when it can be shown to anybody, without a slash at its end.

    `name` says where it was written, `write` what one looks like, `login` what to do with a user or a
    password. Raises ConfigurationError.
    """
    if "@" in text:  # before anything else: another message would show it
        raise ConfigurationError(
            f"{name} holds a user or a password, which would be shown in messages: {login}"
        )
    try:
        parts = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{name} is no address ({error}): write {write}") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ConfigurationError(f"{name} is {text!r}: write {write}")
    return text.rstrip("/")
