"""How long a classic NetCDF file must be, from its header.

The NetCDF library reads zeros behind the end of such a file without a word, so a file that was cut
off is found out by its length alone. Layout: NetCDF Classic Format Specification, Unidata.
"""

import os
import struct
from math import prod
from typing import BinaryIO

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a value by its type in the header."""


class _Header:
    """Reads the numbers and names of a header in order."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        version = self._take(4)[3]
        self.count_format = ">q" if version == 5 else ">i"
        self.offset_format = ">i" if version == 1 else ">q"

    def _take(self, size: int) -> bytes:
        # Before memory is taken for it: a damaged size may be of any length, even a negative one.
        if not 0 <= size <= self.size - self.file.tell():
            raise EOFError("the header itself is cut off")
        return self.file.read(size)

    def number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def count(self) -> int:
        found = self.number(self.count_format)
        if found < 0:
            raise EOFError("the header states a negative number of something")
        return found

    def records(self) -> int:
        """How often the variables without an end of their own go on; -1 where nobody counted."""
        return self.number(self.count_format)

    def tag(self) -> int:
        return self.number(">i")

    def skip(self, size: int) -> None:
        self._take(size + -size % 4)

    def name(self) -> None:
        self.skip(self.count())

    def attributes(self) -> None:
        self.tag()
        for _ in range(self.count()):
            self.name()
            kind = self.tag()
            self.skip(SIZES[kind] * self.count())


def least_size(file: BinaryIO) -> int:
    """Bytes up to the end of the last value.

    Raises:
        EOFError: The file ends within its header, or the header states what cannot be.
        IndexError: A variable has a dim that is not there.
        KeyError: A type that does not exist.
    """
    header = _Header(file)
    records = header.records()
    header.tag()
    lengths = []
    for _ in range(header.count()):
        header.name()
        lengths.append(header.count())
    header.attributes()
    header.tag()
    fixed, moving = [0], []
    for _ in range(header.count()):
        header.name()
        dims = [header.count() for _ in range(header.count())]
        header.attributes()
        width = SIZES[header.tag()]
        header.count()  # the size that the header states, wrong for variables of over 4 GiB
        begin = header.number(header.offset_format)
        shape = [lengths[dim] for dim in dims]
        if shape and shape[0] == 0:
            moving.append((begin, width * prod(shape[1:])))
        else:
            fixed.append(begin + width * prod(shape))
    return max(fixed + _ends(moving, max(records, 0)))


def _ends(moving: list[tuple[int, int]], records: int) -> list[int]:
    """Ends of the variables that grow record by record; a lone one is not padded to four bytes."""
    if not records:
        return []
    step = sum(size + -size % 4 for _, size in moving) if len(moving) > 1 else moving[0][1]
    return [begin + (records - 1) * step + size for begin, size in moving]
