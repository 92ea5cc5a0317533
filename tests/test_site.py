"""The documentation site: it builds strictly, is whole, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import mpp
from mpp.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


class Loaded(HTMLParser):
    """Collects what a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return {str(p.relative_to(out).parent): p.read_text("utf-8") for p in out.rglob("index.html")}


def test_nothing_is_loaded_from_elsewhere(site):
    for name, page in site.items():
        loaded = Loaded()
        loaded.feed(page)
        assert loaded.found, name
        assert not [at for at in loaded.found if re.match(r"(https?:)?//", at)], name


def test_every_formula_is_shown_as_one(site):
    assert site["systems/euler"].count("<math") >= 5
    for name, page in site.items():
        assert "arithmatex" not in page, name
        assert ".. math::" not in page, name


def test_every_public_name_and_command_has_its_entry(site):
    for name in set(mpp.__all__) - {"Batch"}:
        assert f'id="mpp.{name}"' in site["api"], name
    for command in COMMANDS:
        assert f'id="mpp-{command}"' in site["commands"], command


def test_every_system_and_notebook_has_a_page(site):
    for card in ROOT.glob("datasets/*/card.md"):
        assert f"systems/{card.parent.name}" in site
        assert "<img" in site[f"systems/{card.parent.name}"]
    for notebook in ROOT.glob("notebooks/*.ipynb"):
        assert f"notebooks/{notebook.stem}" in site
