"""Training states on disk: written whole, checked by their hash, and the one before kept.

A state is the zip archive that `torch.save` writes, with the SHA-256 of it as the archive's comment
(``unzip -z last.ckpt`` shows it), so that one rename puts both in their place. Nothing but tensors
and plain numbers is ever read from one.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from mpp.errors import InputError
from mpp.files import no_room

FOLDER = "checkpoints"
LAST, PREVIOUS, DAMAGED, BEST = "last.ckpt", "previous.ckpt", "damaged.ckpt", "best.ckpt"
SEAL = b"sha256 "
_LENGTH = len(SEAL) + 64
_BROKEN = (RuntimeError, UnpicklingError, EOFError, OSError, ValueError, KeyError)
"""What reading a file that is no whole state raises."""


class StateIO(TorchCheckpointIO):
    """Writes and reads the states of a run for Lightning.

    Attributes:
        step: Optimizer steps of the state that was written or read last; ``None`` before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a state; a last state that is there becomes the previous one.

        Raises:
            InputError: There is no room for it, or the folder cannot be written.
        """
        file = Path(path)
        unfinished = file.with_name(f".unfinished.{file.name}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(checkpoint, unfinished)
            if file.name == LAST and file.is_file():
                file.replace(file.with_name(PREVIOUS))
            unfinished.replace(file)
        except OSError as error:
            raise InputError(_unwritten(file, error)) from error
        finally:
            unfinished.unlink(missing_ok=True)
        self.step = checkpoint["global_step"]

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a state, of which `find` has checked that it is sound."""
        found = torch.load(path, map_location=map_location, weights_only=True)
        self.step = found["global_step"]
        return found


@dataclass(frozen=True)
class Found:
    """The state to go on from.

    Args:
        file: Where it is.
        step: Optimizer steps that it has behind it.
        warning: What is wrong with a newer one, if there is one.
    """

    file: Path
    step: int
    warning: str | None = None


def exists(out: Path) -> bool:
    """Whether a run has left a state in its folder ``out``."""
    return any((out / FOLDER / name).is_file() for name in (LAST, PREVIOUS))


def forget(out: Path) -> None:
    """Remove the states of an earlier run from its folder ``out``."""
    for name in (LAST, PREVIOUS, DAMAGED, BEST):
        (out / FOLDER / name).unlink(missing_ok=True)


def find(out: Path) -> Found | None:
    """The newest sound state in the folder of a run; ``None`` where there is none at all.

    A damaged one is put aside under another name, so that it never takes the place of a sound one.

    Raises:
        InputError: Every state that is there is damaged.
    """
    folder = out / FOLDER
    for leftover in folder.glob(".unfinished.*"):  # of a process that was killed as it wrote
        leftover.unlink(missing_ok=True)
    if not exists(out):
        return None
    last, previous = folder / LAST, folder / PREVIOUS
    wrong = damage(last) if last.is_file() else "it is missing"
    if wrong is None:
        return Found(last, _step(last))
    other = damage(previous) if previous.is_file() else "it is missing"
    if other is not None:
        raise InputError(
            f"{last}: {wrong}, and {previous}: {other}, so that there is nothing to go on from; "
            "start anew with --overwrite"
        )
    step = _step(previous)
    if not last.is_file():  # stopped between two renames: nothing is lost
        previous.replace(last)
        return Found(last, step)
    last.replace(folder / DAMAGED)
    previous.replace(last)
    return Found(
        last,
        step,
        f"{last} is damaged ({wrong}); going on from {previous}, of step {step}, which takes its "
        f"place; the damaged one is now {DAMAGED}",
    )


def damage(file: Path) -> str | None:
    """What is wrong with a state, in words; ``None`` where it is sound.

    One without a hash, as earlier versions wrote them, is sound if it can be read.
    """
    try:
        told, found = _seal(file), None
        if told is not None:
            found = _digest(file)
            if found != told:
                return f"its SHA-256 is {found[:12]} and was {told[:12]}"
        _step(file)
    except UnpicklingError as error:
        return f"it holds more than tensors and numbers and is not read ({_first(error)})"
    except _BROKEN as error:
        return f"it cannot be read ({_first(error)})"
    return None


def read_best(file: Path) -> dict[str, Any]:
    """The weights of a state, by name.

    Raises:
        InputError: The file is damaged.
    """
    wrong = damage(file)
    if wrong is not None:
        raise InputError(
            f"{file}, the weights that validated best: {wrong}; start anew with --overwrite"
        )
    return torch.load(file, map_location="cpu", weights_only=True)["state_dict"]


def _step(file: Path) -> int:
    return int(torch.load(file, weights_only=True, mmap=True)["global_step"])


def _write(checkpoint: dict[str, Any], file: Path) -> None:
    with file.open("wb") as stream:
        writer = _Writer(stream)
        try:
            torch.save(checkpoint, writer)  # type: ignore[arg-type]  # it only writes
        except RuntimeError:
            if writer.failed is not None:  # torch hides it behind an error of its own
                raise writer.failed from None
            raise
        seal = SEAL + writer.digest.hexdigest().encode()
        stream.seek(-2, os.SEEK_END)  # the length of the archive's comment
        stream.write(len(seal).to_bytes(2, "little") + seal)
        stream.flush()
        os.fsync(stream.fileno())


class _Writer:
    """A stream that hashes what is written to it and remembers why it could not be."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.digest = stream, hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            written = self.stream.write(data)
        except OSError as error:
            self.failed = error
            raise
        self.digest.update(data)
        return written

    def flush(self) -> None:
        self.stream.flush()


def _seal(file: Path) -> str | None:
    """The hash that a file carries."""
    with file.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) < _LENGTH:
            return None
        stream.seek(-_LENGTH, os.SEEK_END)
        found = re.fullmatch(SEAL + rb"([0-9a-f]{64})", stream.read())
    return found[1].decode() if found else None


def _digest(file: Path) -> str:
    """The hash of the archive as it was before it was sealed."""
    digest, left = hashlib.sha256(), file.stat().st_size - _LENGTH - 2
    with file.open("rb") as stream:
        while left > 0 and (part := stream.read(min(left, 1 << 20))):
            digest.update(part)
            left -= len(part)
        length = stream.read(2)
    digest.update(b"\0\0" if length == _LENGTH.to_bytes(2, "little") else length)
    return digest.hexdigest()


def _unwritten(file: Path, error: OSError) -> str:
    if not file.is_file():
        return no_room(file, error)
    return f"{no_room(file, error)}; the one before is still there, to go on from"


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:120]
