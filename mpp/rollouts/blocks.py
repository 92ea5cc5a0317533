"""Frames that come one by one are put into a store in whole chunks."""

from collections.abc import Sequence

import numpy as np

from mpp.rollouts.stepping import Frames, Row
from mpp.rollouts.stores import Store, block_frames


class Blocks:
    """Frames of one batch wait until they fill a chunk of the store.

    Whatever is interrupted can be done again and does no harm.

    Args:
        store: Where they go.
        names: The fields, in the order of the frames.

    Attributes:
        latest: Which runs came last and at which step, in words.
    """

    def __init__(self, store: Store, names: Sequence[str]) -> None:
        self.store, self.names = store, names
        self.length = block_frames(store.sizes)
        self.waiting: list[Frames] = []
        self.written: dict[Row, int] = {}
        self.latest = ""

    @property
    def done(self) -> dict[Row, int]:
        """Frames of each row so far."""
        waiting = {row: frames.step for frames in self.waiting for row in frames.rows}
        return {**self.written, **waiting}

    def add(self, frames: Frames) -> None:
        if self.waiting and self.waiting[0].number != frames.number:
            self.put()
        self.waiting.append(frames)
        first, last = frames.rows[0].sample, frames.rows[-1].sample
        which = f"sample {last}" if first == last else f"samples {first} to {last}"
        self.latest = f"{which}, step {frames.step}"
        if frames.step % self.length == 0:
            self.put()

    def put(self) -> None:
        if not self.waiting:
            return
        first, last = self.waiting[0], self.waiting[-1]
        values = np.stack([frames.values for frames in self.waiting], 2)
        for place, row in enumerate(first.rows):
            member = (row.member,) if "member" in self.store.sizes else ()
            where = (row.sample, *member, slice(first.step - 1, last.step))
            for channel, name in enumerate(self.names):
                self.store.put(name, where, values[place, channel])
        self.written = self.done
        self.waiting = []
