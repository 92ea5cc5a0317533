"""Whether a finetuning command begins, goes on where it was stopped, or must not touch a folder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpp.cli.outputs import claim
from mpp.errors import InputError

RECORD, STATE = "finetune.json", Path("checkpoints/last.ckpt")
RESULTS = (
    "model.json", "weights.safetensors", "adapter.safetensors", "scores.nc", "scores.csv",
    "finetune.png",
)  # fmt: skip
"""What a finished command leaves beside its state, in the order of their writing."""


def begins(out: Path, overwrite: bool, resume: bool) -> bool:
    """Whether the command starts anew in ``out``; otherwise it goes on with what is there.

    Raises:
        InputError: The folder holds something else, or what is finished.
    """
    unfinished = (out / RECORD).is_file() and not (out / RESULTS[-1]).is_file()
    claim(out, overwrite or resume or unfinished)
    return overwrite or not (resume or unfinished) or not (out / STATE).is_file()


@contextmanager
def recorded(out: Path, anew: bool, resume: bool, record: Mapping[str, Any]) -> Iterator[None]:
    """Keep beside a training what it depends on, so that no other command goes on with it.

    A command that cannot start because of its input leaves no record.

    Args:
        out: Folder of the run.
        anew: Whether it starts anew; results of an earlier run go then.
        resume: Whether the user asked to go on, which may be with another budget.
        record: What it depends on; its ``budget`` may change when asked for.

    Raises:
        InputError: What is there was trained with something else.
    """
    from mpp.study.record import settle

    file = out / RECORD
    if anew:
        for name in (RECORD, *RESULTS):
            (out / name).unlink(missing_ok=True)
    parts = {key: value for key, value in record.items() if not (resume and key == "budget")}
    settle(file, parts, "finetuning")
    try:
        yield
    except InputError:
        if not (out / STATE).is_file():
            file.unlink(missing_ok=True)
            if not any(out.iterdir()):
                out.rmdir()
        raise
