"""How many payments share a transaction: signals `batching.*`."""

from app.chain.window import robust_z
from app.model.features import BlockFeatures
from app.processors.base import Metric, Output, saturating
from app.processors.history import History


class BatchingProcessor:
    """Signals `batching.*`:

    - `batching.outputs_per_tx`: outputs / transactions;
    - `batching.surge` (robust z): how unusual that is, over the last `window` blocks.

    `half`: outputs a transaction at which the score is 0.5. Raises ValueError.
    """

    name = "batching"

    def __init__(self, *, half: float = 3.0, window: int = 144) -> None:
        if half <= 0:
            raise ValueError(f"half is {half!r}: give a number above 0")
        self._half = half
        self._window = window

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Of the block, and with history how unusual it is."""
        outputs = features.output_count / features.tx_count
        metrics = [Metric("batching.outputs_per_tx", outputs, saturating(outputs, self._half))]
        if history is not None:
            z = robust_z(outputs, history.values("batching.outputs_per_tx", self._window))
            if z is not None:
                metrics.append(Metric("batching.surge", z, max(-1.0, min(1.0, z / 5.0))))
        return Output(metrics)
