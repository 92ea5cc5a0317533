"""Laws of the page: one file, everything in it, nothing from data taken for HTML."""

import base64
import hashlib
import re

import pytest
from matplotlib.figure import Figure

from mpp.errors import InputError
from mpp.metrics import table
from mpp.viz.page import Grid, Moving, Picture, Section, write_page
from mpp.viz.style import save

EVIL = '<script>alert("x")</script>'


@pytest.fixture
def picture():
    figure = Figure(figsize=(1, 1))
    figure.subplots()
    return figure


def test_every_text_is_escaped(tmp_path, scores, picture, reader):
    grid = Grid((EVIL, EVIL), ((EVIL, EVIL),), EVIL)
    ds = scores(models=(EVIL, "persistence"), fields=(EVIL,)).assign_attrs(system=EVIL)
    blocks = [EVIL, grid, table(ds, "vrmse"), Picture(picture, f'{EVIL}" onerror="x')]
    page = reader(write_page(tmp_path, EVIL, [Section(EVIL, blocks)]).read_text())
    assert "script" not in page.tags
    assert {name for name, _ in page.attributes}.isdisjoint({"onerror", "onload"})
    # The page's title in its head and on top, the section's, the text; two titles, two cells and
    # the caption of the grid; caption, field and model of the table; the picture's caption.
    assert page.words.count(EVIL) == 4 + 5 + 3 + 1


def test_nothing_is_loaded_from_anywhere(tmp_path, picture, reader):
    source = save(picture, tmp_path / "a.png")
    text = write_page(tmp_path, "t", [Section("s", [Picture(source, "c")])]).read_text()
    page = reader(text)
    addresses = [value for name, value in page.attributes if name in ("src", "href")]
    assert len(addresses) == 1
    assert addresses[0].startswith("data:image/png;base64,")
    assert not re.search(r"https?://|url\(|@import", text)


def test_the_best_value_is_marked(tmp_path, scores):
    grid = Grid(("stage", "loss"), (("a", "2"), ("b", "1")), best=frozenset({(1, 1)}))
    sections = [Section("s", [grid, table(scores(), "vrmse", (1, 5))])]
    text = write_page(tmp_path, "t", sections).read_text()
    assert '<td class="best">1</td>' in text
    assert "<td>2</td>" in text
    # Two fields at two lead times: the tuned model is best in each.
    assert text.count('class="best"') == 1 + 4
    assert "VRMSE of shallow_water: mean over 5 runs ± standard error" in text
    assert "step 5<br>2.5 s" in text


def test_equal_content_gives_equal_bytes(tmp_path, picture):
    pages = [
        write_page(tmp_path / name, "t", [Section("s", [Picture(picture, "c")])]) for name in "ab"
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["index.html"]


def test_a_page_is_kept_unless_told(tmp_path):
    write_page(tmp_path, "old", [])
    with pytest.raises(InputError, match="exists"):
        write_page(tmp_path, "new", [])
    assert "new" in write_page(tmp_path, "new", [], overwrite=True).read_text()


@pytest.mark.parametrize(
    ("name", "message"), [("a.svg", "expected a picture"), ("a.png", "cannot be read")]
)
def test_a_picture_that_is_none_is_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        write_page(tmp_path, "t", [Section("s", [Picture(tmp_path / name, "c")])])
    assert not (tmp_path / "index.html").exists()


def test_a_script_stands_once_and_no_other_may_run(tmp_path, reader):
    moving = Moving("<b></b>", {"name": EVIL}, "draw();", "b { color: red; }")
    text = write_page(tmp_path, "t", [Section("s", [moving, moving])]).read_text()
    page = reader(text)
    # Two elements that hold data, in which nothing can end the element, and the script itself.
    assert page.tags.count("script") == 3
    assert text.count("draw();") == text.count("b { color: red; }") == 1
    assert EVIL not in text
    digest = base64.b64encode(hashlib.sha256(b"draw();").digest()).decode()
    (policy,) = [value for _, value in page.attributes if value and "default-src" in value]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.endswith(f"script-src 'sha256-{digest}'")


def test_words_of_a_table_stand_to_the_left(tmp_path):
    grid = Grid(("what", ""), (("model", "axial"),), words=True)
    text = write_page(tmp_path, "t", [Section("s", [grid])]).read_text()
    assert '<td class="text">axial</td>' in text
