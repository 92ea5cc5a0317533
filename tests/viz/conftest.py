"""Small rollouts and evaluations, made from the schema's own example."""

from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from mpp import schema


def make_rollout(shape=(8, 6), frames=6, **options) -> xr.Dataset:
    """A rollout that is one tenth too large everywhere, beside its truth; one frame of history."""
    ds = schema.example(shape, frames=frames, **options)
    truth = {f"truth_{n}": ds[n].assign_attrs(role="truth") for n in schema.names(ds)}
    predicted = {n: (1.1 * ds[n]).assign_attrs(ds[n].attrs) for n in schema.names(ds)}
    both = ds.assign({**predicted, **truth}).isel(time=slice(1, None))
    return both.assign_attrs(history_end=float(ds["time"][0]))


def make_scores(models=("tuned", "persistence"), fields=("height", "velocity_x"), samples=5):
    """Errors that grow with lead time; the later a model in the list, the larger."""
    lead = np.arange(1, 9)
    size = np.arange(1, len(models) + 1)[:, None, None, None]
    spread = np.linspace(0.8, 1.2, samples)
    values = 0.01 * size * np.ones((1, len(fields), 1, 1)) * lead[:, None] * spread
    dims = ("model", "field", "lead_time", "sample")
    coords = {
        "model": list(models),
        "field": list(fields),
        "units": ("field", ["m", "m s-1", "1", "Pa"][: len(fields)]),
        "lead_time": ("lead_time", 0.5 * lead, {"units": "s"}),
        "step": ("lead_time", lead),
    }
    data = {
        "vrmse": (dims, values, {"units": "1"}),
        "rmse": (dims, 3 * values, {"units": "unit of the field"}),
    }
    return xr.Dataset(data, coords, {"system": "shallow_water"})


@pytest.fixture
def rollout():
    return make_rollout


@pytest.fixture
def scores():
    return make_scores


class Reader(HTMLParser):
    """Collects the tags, their attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.words = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def reader():
    return Reader
