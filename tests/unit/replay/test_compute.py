"""Which blocks a recomputation sends signals of."""

from app.chain.extract import extract
from app.config import Settings
from app.model.block import BLOCK_DECODER
from app.model.keys import block_ts
from app.model.signal import SignalBatch
from app.replay.asked import Asked, Unit
from app.replay.blocks import Found
from app.replay.outlet import Outlet
from app.replay.recompute import Recomputation, Wanted
from app.replay.spool import Spool, spool
from app.replay.tally import Tally
from app.sources.simulator import CHAIN, simulate
from tests.support.watch import Silent

CHAINED, ALONE = (3, 4, 5), (0, 1, 2)


class Box(Outlet):
    """An outlet that keeps what is sent."""

    def __init__(self, begin: int) -> None:
        self.next = begin
        self.sent: list[str] = []

    async def send(self, batch: SignalBatch) -> None:
        self.sent.append(batch.ts)

    async def mark(self, height: int) -> None: ...


def kept(held: Spool, value: bytes, *, isolated: bool) -> Found:
    header = BLOCK_DECODER.decode(value)
    held.add_block(extract(value, chain=CHAIN, isolated=isolated))
    ts = block_ts(header.time, header.height)
    return Found(CHAIN, header.height, header.hash, None, ts, isolated, 1, 1, "c", True)


async def test_isolated_blocks_are_computed_behind_the_chain_wherever_it_stopped() -> None:
    settings = Settings(_env_file=None)
    box = Box(begin=max(CHAINED) + 1)
    wanted = Wanted(Asked(Unit.HEIGHT, 0), CHAIN, allow_cold=True)
    with spool() as held:
        found = [kept(held, value, isolated=n in ALONE) for n, value in enumerate(simulate(6, seed=1))]
        path, lone = [found[n] for n in CHAINED], [found[n] for n in ALONE]
        await Recomputation(settings, wanted, Tally(), Silent())._compute(held, path, lone, box)
    assert set(box.sent) == {block.ts for block in lone}


def test_blocks_that_only_warm_up_are_left_as_they_are() -> None:
    settings = Settings(_env_file=None, emit_from_height=4)
    run = Recomputation(settings, Wanted(Asked(Unit.HEIGHT, 3), CHAIN), Tally(), Silent())
    with spool() as held:
        found = [kept(held, value, isolated=False) for value in simulate(6, seed=1)]
    assert [block.height for block in found if run._is_wanted(block)] == [4, 5]
