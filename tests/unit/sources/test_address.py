"""Addresses that are refused, and what of them is shown."""

import pytest

from app.config import Settings
from app.errors import ConfigurationError
from app.sources.core_rpc import CoreRpc
from app.sources.esplora import Esplora
from app.sources.pace import Pace

SECRET = "secretpw"
WITH_LOGIN = [
    f"http://user:{SECRET}@host",
    f"https://user:{SECRET}@host:3000/api",
    f"http://user:{SECRET}/more@host",
    f"user:{SECRET}@host",
    f"http://{SECRET}@host",
]


@pytest.mark.parametrize("url", WITH_LOGIN)
def test_a_login_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--url holds a user or a password") as of_esplora:
        Esplora(Settings(_env_file=None), url, Pace(None))
    with pytest.raises(ConfigurationError, match="SIGSTREAM_CORE_USER") as of_core:
        CoreRpc(Settings(_env_file=None, core_url=url))
    assert SECRET not in f"{of_esplora.value} {of_core.value}"


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://host", "http://host:port", "http://", ""])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--url is .*write https://host/api"):
        Esplora(Settings(_env_file=None), url, Pace(None))
    with pytest.raises(ConfigurationError, match=r"SIGSTREAM_CORE_URL is .*write http://host:port"):
        CoreRpc(Settings(_env_file=None, core_url=url))


async def test_a_slash_at_the_end_is_left_out() -> None:
    async with Esplora(Settings(_env_file=None), "https://host/api/", Pace(None)) as client:
        assert client.url == "https://host/api"
