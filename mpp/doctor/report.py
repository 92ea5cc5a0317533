"""What a look at files found: plain values, for a terminal or for JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mpp.doctor.finding import Finding
from mpp.doctor.parts import AxisReport, FieldReport, MaskReport, Sampling, TimeReport
from mpp.doctor.storage import StorageReport
from mpp.doctor.twins import Twins
from mpp.schema import Violation

if TYPE_CHECKING:
    from mpp.doctor.checkpoint import CheckpointReport

Precision = Literal["32-true", "bf16-mixed"]
Outlook = Literal["will train", "will train, but", "will not train"]


@dataclass(frozen=True)
class Report:
    """What was understood, what is wrong with it, and what to do next.

    Args:
        paths: What was examined.
        files: Number of files behind it.
        format: What they are.
        joined: How several became one, in words.
        system: Name of the physical system.
        samples: Number of runs.
        sample_source: Dim of the file that counts them, empty if there is none.
        time: The time axis.
        axes: The space axes.
        fields: The fields.
        masks: The masks.
        others: Role and range of every other variable by name.
        left_out: Why variables were not read, by their name in the file.
        nbytes: Size of the fields in memory.
        sampling: How much was read.
        twins: Runs that appear twice.
        storage: Chunks, and how fast windows are read.
        precision: Precision of the training that is asked about.
        checkpoint: What the checkpoint makes of it; ``None`` if none was named.
        violations: What the schema asks for, beside boundaries and even spacing.
        findings: What every check found, one or more a check.
        mapping: The mapping that would make it train, as YAML.
        needs_mapping: Whether other commands would not read the files the same way without it.
    """

    paths: tuple[str, ...]
    files: int
    format: str
    joined: str
    system: str
    samples: int
    sample_source: str
    time: TimeReport
    axes: tuple[AxisReport, ...]
    fields: tuple[FieldReport, ...]
    masks: tuple[MaskReport, ...]
    others: dict[str, str]
    left_out: dict[str, str]
    nbytes: int
    sampling: Sampling
    twins: Twins
    storage: StorageReport
    precision: Precision
    checkpoint: "CheckpointReport | None"
    violations: tuple[Violation, ...]
    findings: tuple[Finding, ...]
    mapping: str
    needs_mapping: bool

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps it from training, each with what to do."""
        return self._of("problem")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be looked at before training."""
        return self._of("warning")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing."""
        return self._of("note")

    def _of(self, level: str) -> tuple[str, ...]:
        return tuple(str(finding) for finding in self.findings if finding.level == level)

    @property
    def verdict(self) -> bool:
        """Whether it will train as it is."""
        return not self.problems

    @property
    def outlook(self) -> Outlook:
        """The same in words, with a reserve where there are warnings."""
        if self.problems:
            return "will not train"
        return "will train, but" if self.warnings else "will train"

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON can hold it: the fields of this class by name, and what follows.

        ``verdict`` is true if it will train, ``outlook`` says so in words, ``problems``,
        ``warnings`` and ``notes`` are the findings of that level as text. Numbers that are not
        known are ``null``.
        """
        said = {key: getattr(self, key) for key in ("verdict", "outlook", *LEVELS)}
        return _finite({**asdict(self), **said})


LEVELS = ("problems", "warnings", "notes")


def _finite(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
