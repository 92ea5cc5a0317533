"""A transfer study as a page to read: verdict, learning curves and tables, in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from mpp.files import file_name, written_beside
from mpp.study.compare import budget, columns, compare, tuned_arms, verdict
from mpp.viz.style import save
from mpp.viz.transfer import learning_curves

LEGEND = (
    "AG, the accuracy gain: error from scratch over finetuned error, with as many runs. EG, the "
    "efficiency gain: how many times fewer runs the finetuned model needs for the error from "
    "scratch. Below 1 transfer is negative. Errors are VRMSE, means ± standard deviations over "
    "seeds: 0 is perfect, 1 no better than predicting the mean. Persistence copies the last frame."
)


def transfer_report(
    found: Mapping[str, xr.Dataset], out: str | Path, lead_steps: Sequence[int] = (1, 5, 20)
) -> Path:
    """Write ``report.md`` and a picture a system into a folder.

    Args:
        found: What `mpp.transfer` gave.
        out: The folder.
        lead_steps: Forecast steps to show.

    Returns:
        The path of the page.
    """
    folder = Path(out)
    parts = ["# Transfer against scratch", LEGEND]
    for system, ds in found.items():
        by_arm = {arm: compare(ds, lead_steps, arm=arm) for arm in tuned_arms(ds)}
        picture = save(
            learning_curves(ds, lead_steps=lead_steps), folder / f"{file_name(system)}.png"
        )
        parts += [
            f"## {system}",
            "\n".join(f"- {line}" for parts in by_arm.values() for line in verdict(parts)),
            budget(ds),
            f"![error against training runs]({picture.name})",
            *(
                markdown(columns(arm), [row for part in parts for row in part.rows()])
                for arm, parts in by_arm.items()
            ),
        ]
    with written_beside(folder / "report.md") as unfinished:
        unfinished.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return folder / "report.md"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; numbers and names as they are, but for the sign that parts its columns."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)
