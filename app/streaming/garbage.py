"""The garbage collector, told what a worker keeps for as long as it lives."""

import gc


def keep_what_is_there() -> None:
    """Modules, classes, connections: some 70 ms each time the collector walks them, in vain.

    To be called once everything is imported and connected. What is made later is collected as ever.
    """
    gc.collect()
    gc.freeze()
