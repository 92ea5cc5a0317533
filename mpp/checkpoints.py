"""Where a checkpoint is: in a folder of yours, in this package, or on the Hugging Face Hub.

Its name is a path, the name of a checkpoint that is shipped (``mpp-mini``), or
``hf://owner/name`` with ``@revision`` where it should not be the newest. A folder of yours goes
before a shipped checkpoint of the same name. Only the two files of a checkpoint and its card are
fetched from the Hub, and nothing that is fetched can run.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from mpp.errors import InputError

HUB = "hf://"
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"
SHIPPED = Path(__file__).parent / "shipped"
"""A folder for each checkpoint in this package."""


def shipped() -> tuple[str, ...]:
    """Names of the checkpoints in this package."""
    return tuple(sorted(file.parent.name for file in SHIPPED.glob(f"*/{DESCRIPTION}")))


def locate(checkpoint: str | Path) -> Path:
    """The folder of a checkpoint on this machine, fetched first where it is on the Hub.

    Raises:
        InputError: There is none of that name, or the Hub cannot be asked.
    """
    name = str(checkpoint)
    if name.startswith(HUB):
        return _fetch(name)
    folder = Path(name)
    if (folder / DESCRIPTION).is_file():
        return folder
    if name in shipped():
        return SHIPPED / name
    raise InputError(
        f"{name}: expected a checkpoint folder with {DESCRIPTION} and {WEIGHTS}, as mpp pretrain "
        f"or mpp finetune wrote it, hf://owner/name, or one of {', '.join(shipped())}"
    )


def _fetch(name: str) -> Path:
    found = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if found is None:
        raise InputError(f"{name}: expected hf://owner/name or hf://owner/name@revision")
    if find_spec("huggingface_hub") is None:
        raise InputError(
            f"{name}: fetching it needs huggingface_hub; pip install 'mpp-physics[hub]'"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    repository, revision = found.groups()
    wanted = [WEIGHTS, DESCRIPTION, "*.md"]
    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name}: the Hub did not give it ({reason}); check the name, the revision, your "
            "connection and, if it is private, `hf auth login`"
        ) from None
    if not (folder / DESCRIPTION).is_file():
        raise InputError(f"{name}: that repository has no {DESCRIPTION}; it is not a checkpoint")
    return folder
