"""Whether a training command begins, goes on where it was stopped, or must not touch a folder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpp.cli.outputs import claim
from mpp.errors import InputError

RECORDS = {"finetuning": "finetune.json", "pretraining": "pretrain.json"}
"""The file that says what a training depends on, in the folder of it."""
RESULTS = {
    "finetuning": (
        "model.json", "weights.safetensors", "adapter.safetensors", "scores.nc", "scores.csv",
        "finetune.png",
    ),
    "pretraining": ("weights.safetensors", "model.json"),
}  # fmt: skip
"""What a finished command leaves beside its state, the last one written last."""


def begins(out: Path, overwrite: bool, resume: bool, what: str = "finetuning") -> bool:
    """Whether the command starts anew in ``out``; otherwise it goes on with what is there.

    Raises:
        InputError: The folder holds something else, or what is finished.
    """
    from mpp.train.states import exists

    unfinished = (out / RECORDS[what]).is_file() and not (out / RESULTS[what][-1]).is_file()
    claim(out, overwrite or resume or unfinished)
    return overwrite or not (resume or unfinished) or not exists(out)


@contextmanager
def recorded(
    out: Path, anew: bool, resume: bool, record: Mapping[str, Any], what: str = "finetuning"
) -> Iterator[None]:
    """Keep beside a training what it depends on, so that no other command goes on with it.

    A command whose training cannot start because of its input leaves no record.

    Args:
        out: Folder of the run.
        anew: Whether it starts anew; results of an earlier run go then.
        resume: Whether the user asked to go on, which may be with another budget.
        record: What it depends on; its ``budget`` may change when asked for.
        what: Which kind of training it is.

    Raises:
        InputError: What is there was trained with something else.
    """
    from mpp.study.record import settle
    from mpp.train.states import exists

    file = out / RECORDS[what]
    if anew:
        for name in (RECORDS[what], *RESULTS[what]):
            (out / name).unlink(missing_ok=True)
    parts = {key: value for key, value in record.items() if not (resume and key == "budget")}
    settle(file, parts, what)
    try:
        yield
    except InputError:
        if not exists(out) and not (out / "metrics.csv").is_file():
            file.unlink(missing_ok=True)
            if not any(out.iterdir()):
                out.rmdir()
        raise
