"""The application: a choice of file, and the page of the one that is chosen."""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import panel as pn
import xarray as xr

from mpp.explorer.rollout import CONTROL, RolloutPage
from mpp.viz.curves import score_names
from mpp.viz.player import text

if TYPE_CHECKING:
    from mpp.explorer.evaluation import EvaluationPage

STYLE = (Path(__file__).parent / "explorer.css").read_text(encoding="utf-8")


def application(files: Mapping[str, xr.Dataset]) -> Callable[[], pn.viewable.Viewable]:
    """What makes the page anew for each browser that connects.

    Args:
        files: Open rollouts and evaluations by name.
    """
    pn.extension(raw_css=[STYLE])
    for ds in files.values():
        _kind_of_page(ds)  # imports what it needs before a browser waits for it

    def make() -> pn.viewable.Viewable:
        return Application(files).__panel__()

    return make


class Application:
    """One browser's page.

    Args:
        files: Open rollouts and evaluations by name.
    """

    def __init__(self, files: Mapping[str, xr.Dataset]) -> None:
        self.files = files
        names = {text(name, 60): name for name in files}
        self.file = pn.widgets.Select(label="file", options=names, width=CONTROL)
        self.file.param.watch(self._opened, "value")
        self.side = pn.Column(margin=0)
        self.body = pn.Column(margin=0, sizing_mode="stretch_width")
        self.page: RolloutPage | EvaluationPage | None = None
        self._opened()

    def __panel__(self) -> pn.viewable.Viewable:
        chooser = [self.file] if len(self.files) > 1 else []
        side = pn.Column(*chooser, self.side, margin=0)
        return pn.Row(side, self.body, margin=(12, 20), sizing_mode="stretch_width")

    def _opened(self, *_: object) -> None:
        """Show the chosen file, or why it cannot be shown."""
        if isinstance(self.page, RolloutPage):
            self.page.stop()
        name = self.file.value
        try:
            page = _kind_of_page(self.files[name])(self.files[name], name)
        except (OSError, ValueError, RuntimeError) as error:
            self.page, self.side[:] = None, []
            self.body[:] = [pn.pane.HTML(f'<p class="trouble">{escape(f"{name}: {error}")}</p>')]
            return
        self.page = page
        with pn.io.hold():
            self.side[:], self.body[:] = [page.side], [page.body]


def _kind_of_page(ds: xr.Dataset) -> "type[RolloutPage] | type[EvaluationPage]":
    """The page that fits a dataset; hvplot, which takes seconds to import, only if it needs it."""
    if not score_names(ds):
        return RolloutPage
    from mpp.explorer.evaluation import EvaluationPage

    return EvaluationPage
