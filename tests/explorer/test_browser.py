"""Laws of the explorer in a browser: sliders, choices and taps change what the program shows."""

import numpy as np
import pytest

from mpp.metrics import with_intervals

pytestmark = pytest.mark.slow

EVIL = "</script><script>document.title = 'caught'</script>"
TAG = "a<img src=x onerror=document.title='caught'>"
DEEP = """const found = []; const look = root => {
    found.push(...root.querySelectorAll(arguments[0]));
    root.querySelectorAll("*").forEach(e => e.shadowRoot && look(e.shadowRoot)); };
    look(document); return found;"""
# A page that was left stays in Bokeh's document for half a minute: the newest of a name is shown.
NEWEST = """const model = [...Bokeh.documents[0].all_models].filter(
    each => each.name === arguments[0]).pop();
    if (!model) return null;"""
IMAGE = f"""{NEWEST}
    const source = model.renderers.find(r => r.glyph.type === "Image").data_source;
    return Array.from(source.data.image[0]);"""
FITS = "return document.documentElement.scrollWidth <= window.innerWidth"
LINE = f"""{NEWEST}
    return Array.from(model.renderers[arguments[1]].data_source.data.y);"""


@pytest.fixture(scope="module")
def files(rollout, scores):
    line = rollout(shape=(8,), frames=6)
    evil = rollout(shape=(6, 4), frames=3)
    evil = evil.rename(tracer=TAG, truth_tracer=f"truth_{TAG}").assign_attrs(system=EVIL)
    return {
        "plane.nc": rollout(shape=(8, 6), frames=5),
        "line.nc": line,
        "cube.nc": rollout(shape=(5, 6, 7), frames=3),
        "evil.nc": evil,
        "scores.nc": with_intervals(scores()),
    }


@pytest.fixture(scope="module")
def address(files, viewing, tmp_path_factory):
    """The program itself, which shows all of them; it must end without a word."""
    folder = tmp_path_factory.mktemp("view")
    for name, ds in files.items():
        ds.to_netcdf(folder / name)
    with viewing([*files, "--no-open"], folder) as found:
        yield found


class Page:
    """The explorer, open in the browser."""

    def __init__(self, browser, address) -> None:
        self.browser, self.address = browser, address
        browser.get(address)
        self.until(lambda: self.image("truth"))

    def until(self, holds):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, 120, poll_frequency=0.2).until(lambda _: holds())

    def deep(self, selector):
        """Elements, also inside the shadow trees that widgets are made of."""
        return self.browser.execute_script(DEEP, selector)

    def image(self, name):
        """What the browser holds of a picture, or nothing where there is none."""
        ready = "return !!(window.Bokeh && Bokeh.documents.length)"
        return self.browser.execute_script(ready) and self.browser.execute_script(IMAGE, name)

    def line(self, chart, number):
        return self.browser.execute_script(LINE, chart, number)

    def shows(self, name, values):
        """Wait until a picture is of these values, rows from bottom to top."""
        wanted = np.asarray(values, np.float32).ravel()

        def same():
            found = self.image(name)
            return found is not None and np.array_equal(np.asarray(found, np.float32), wanted)

        self.until(same)

    def choose(self, number, text):
        from selenium.webdriver.support.ui import Select

        Select(self.deep("select")[number]).select_by_visible_text(text)

    def step(self, number):
        """Move a slider one step to the right, with the keyboard."""
        from selenium.webdriver.common.keys import Keys

        self.deep(".noUi-handle")[number].send_keys(Keys.ARROW_RIGHT)

    def sound(self):
        """Nothing came from elsewhere, and the console has no error."""
        entries = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        loaded = self.browser.execute_script(entries)
        assert loaded
        assert [name for name in loaded if not name.startswith((self.address, "data:"))] == []
        log = self.browser.get_log("browser")
        assert [entry["message"] for entry in log if entry["level"] == "SEVERE"] == []


def of(ds, name, **place):
    return ds[name].isel(place).values.T


def test_sliders_choices_and_taps_change_the_pictures(browser, address, files):
    from selenium.webdriver.common.action_chains import ActionChains

    ds = files["plane.nc"]
    page = Page(browser, address)
    page.shows("truth", of(ds, "truth_tracer", sample=0, time=0))
    page.step(1)  # the lead time, below the sample
    page.shows("truth", of(ds, "truth_tracer", sample=0, time=1))
    page.shows("prediction", of(ds, "tracer", sample=0, time=1))
    page.step(0)
    page.shows("prediction", of(ds, "tracer", sample=1, time=1))
    page.choose(1, "velocity_x")
    page.shows("prediction", of(ds, "velocity_x", sample=1, time=1))
    error = ds["velocity_x"].astype(float) - ds["truth_velocity_x"].astype(float)
    page.shows("error", error.isel(sample=1, time=1).values.T)
    before = page.line("series", 0)
    centre = ds["truth_velocity_x"].isel(sample=1, x=4, y=3)
    np.testing.assert_allclose(before, centre)
    picture = page.deep(".bk-Canvas, .bk-events")[0]
    # A sixth of the width to the left of the middle and up is another point.
    ActionChains(browser).move_to_element_with_offset(picture, -40, -60).click().perform()
    page.until(lambda: page.line("series", 0) != before)
    after = np.asarray(page.line("series", 0))
    everywhere = ds["truth_velocity_x"].isel(sample=1).values.reshape(ds.sizes["time"], -1).T
    assert any(np.allclose(after, known) for known in everywhere)
    page.sound()


def test_a_narrow_window_puts_pictures_below_each_other(browser, address):
    before = browser.get_window_size()
    browser.set_window_size(1000, 900)
    try:
        page = Page(browser, address)
        for name in ("plane.nc", "scores.nc"):
            page.choose(0, name)
            page.until(lambda name=name: (name == "scores.nc") == (len(page.deep(".title")) > 0))
            page.until(lambda: browser.execute_script(FITS))
    finally:
        browser.set_window_size(before["width"], before["height"])


def test_playing_moves_to_the_last_frame(browser, address, files):
    page = Page(browser, address)
    next(b for b in page.deep("button") if "play" in b.text).click()
    page.shows("truth", of(files["plane.nc"], "truth_tracer", sample=0, time=-1))
    page.sound()


def test_lines_cubes_and_scores_have_pages_too(browser, address, files):
    page = Page(browser, address)
    line, cube = files["line.nc"], files["cube.nc"]
    page.choose(0, "line.nc")
    page.shows("truth", of(line, "truth_tracer", sample=0))
    page.choose(0, "cube.nc")
    page.shows("truth", of(cube, "truth_tracer", sample=0, time=0, z=3))
    page.step(4)  # z, below sample, lead time, x and y
    page.shows("truth", of(cube, "truth_tracer", sample=0, time=0, z=4))
    page.choose(0, "scores.nc")
    page.until(lambda: any("bootstrap interval" in e.text for e in page.deep(".title")))
    assert [e.text for e in page.deep(".legend span")] == ["tuned", "persistence"]
    page.until(lambda: len(page.deep(".bk-Figure")) == 2)
    page.sound()


def test_names_from_data_run_nothing(browser, address):
    page = Page(browser, address)
    page.choose(0, "evil.nc")
    page.until(lambda: any(EVIL[:20] in e.text for e in page.deep(".told")))
    assert TAG in [option.text for select in page.deep("select") for option in
                   select.find_elements("css selector", "option")]  # fmt: skip
    assert browser.title == "mpp view"
    assert page.deep("img[src=x]") == []
    page.sound()
