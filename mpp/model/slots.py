"""Which rows of a vocabulary the fields of a system use, where systems do not share rows by name.

A table names, for each system, the row (slot) of each of its fields:
``{"swirl": {"height": 0}, "flow": {"velocity_x": 1, "velocity_y": 2}}``. Two names of one system
may share a slot; they are then two words for the same field.
"""

from collections.abc import Mapping, Sequence

from mpp.batch import Batch
from mpp.errors import InputError

Slots = Mapping[str, Mapping[str, int]]


def slot_table(slots: Slots | Sequence[str]) -> dict[str, dict[str, int]]:
    """The table as plain dicts; a sequence of names is one table that every system shares."""
    if isinstance(slots, Mapping):
        return {system: dict(rows) for system, rows in slots.items()}
    return {"any": {name: number for number, name in enumerate(slots)}}


def find_slots(batch: Batch, slots: Slots) -> list[int]:
    """The slot of each channel of the batch.

    The batch's own system decides where the table knows it. Otherwise it is the system that has
    all of the batch's fields and the fewest others, the first of these in the table.

    Raises:
        InputError: No system of the table has all of the fields.
    """
    known = {batch.system: slots[batch.system]} if batch.system in slots else slots
    fits = [rows for rows in known.values() if _fits(batch.names, rows)]
    if not fits:
        table = "; ".join(f"{system}: {', '.join(rows)}" for system, rows in known.items())
        raise InputError(
            f"{batch.system}: the model has no set of fields with {', '.join(batch.names)} (it "
            f"knows {table}); rename or leave out variables, or train a model on this data"
        )
    rows = min(fits, key=lambda rows: len(set(rows.values())))
    return [rows[name] for name in batch.names]


def _fits(names: Sequence[str], rows: Mapping[str, int]) -> bool:
    found = [rows[name] for name in names if name in rows]
    return len(set(found)) == len(names)
