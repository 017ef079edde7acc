"""Compresses batches beside the event loop, in one thread: so the loop stays free, and batches keep their order.

Layer: producer. Part of the face for asyncio.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from kproto.producer.batch import ProducerBatch
from kproto.producer.config import ProducerConfig
from kproto.wire.records import Compression, RecordBatchBuilder

if TYPE_CHECKING:
    from kproto.producer.async_engine import AsyncEngine

__all__ = ["AsyncCompression"]


class AsyncCompression:
    """See the module. Its methods are for the loop's thread."""

    def __init__(self, engine: AsyncEngine, config: ProducerConfig) -> None:
        self._engine = engine
        self._compresses = Compression.of(config.compression_type) is not Compression.NONE
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="kproto-compress")  # its thread comes with its work

    def seal(self, batch: ProducerBatch) -> bool:
        """Have a closed batch sealed, unless that is being done, or was; whether it is."""
        accumulator = self._engine.accumulator
        if not self._compresses:
            accumulator.seal(batch)
        elif accumulator.claim(batch):
            self._executor.submit(self._compress, batch)
        return batch.sealed

    def _compress(self, batch: ProducerBatch) -> None:
        """In the thread."""
        failed: BaseException | None = None
        try:
            batch.seal()
        except BaseException as error:
            failed = error
        # Where the loop is closed this raises, and nobody hears of it: nobody is left to send the batch, either.
        self._engine.loop.call_soon_threadsafe(self._compressed, batch, failed)

    def _compressed(self, batch: ProducerBatch, failed: BaseException | None) -> None:
        engine = self._engine
        if failed is None:
            engine.accumulator.charge_sealed(batch)
            engine.driver.run_pass()
        else:
            why = f"its batch of {batch.count} records could not be compressed"
            engine.driver.call(partial(engine.engine.sender.give_up, batch, why, failed))

    async def seal_builder(self, builder: RecordBatchBuilder) -> None:
        """Compress a batch that was built by hand, before it is taken."""
        if builder.compression is not Compression.NONE:
            await self._engine.loop.run_in_executor(self._executor, builder.seal)

    def end(self) -> None:
        """Compress nothing more. May be called again."""
        self._executor.shutdown(wait=False)
