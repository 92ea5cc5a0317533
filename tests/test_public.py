"""Laws of the public names: few, each of them what it says, whatever has been imported before."""

import importlib
from types import ModuleType

import pytest

import mpp


def test_there_are_at_most_fifteen():
    assert len(mpp.__all__) <= 15
    assert mpp.__all__ == sorted(mpp.__all__)


@pytest.mark.parametrize("name", mpp.__all__)
def test_a_name_is_the_same_before_and_after_its_module_is_imported(name):
    first = getattr(mpp, name)
    home = importlib.import_module(first.__module__)
    assert not isinstance(first, ModuleType)
    assert getattr(mpp, name) is first is getattr(home, name)


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="'mpp' has no attribute 'fly'"):
        _ = mpp.fly
