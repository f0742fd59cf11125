"""`sigstream` commands as processes of their own, beside what else a test does."""

import asyncio
import sys
from typing import NamedTuple

from app.config import Settings
from tests.support.processes import environment


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


async def command(settings: Settings, *arguments: str, deadline_s: float = 60.0) -> Done:
    """Run `sigstream ARGUMENTS` to its end; AssertionError after the deadline."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app.main", *arguments),
        env=environment(settings),
        cwd=settings.data_dir,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(deadline_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AssertionError(f"{' '.join(arguments)} did not end within {deadline_s:g} s") from None
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())
