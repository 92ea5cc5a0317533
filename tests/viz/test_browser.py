"""Laws of the report in a browser: the slider, the choices and the keys change the pictures."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mpp.viz.page import Grid, Picture, Section, save_page
from mpp.viz.player import player
from mpp.viz.report import report
from mpp.viz.strips import strips

pytestmark = pytest.mark.slow

EVIL = "</script><script>document.title = 'caught'</script>"


class Page:
    """A report that is open in the browser."""

    def __init__(self, browser, path) -> None:
        self.browser = browser
        browser.get(path.as_uri())
        self.until("0,0,0")

    def find(self, name):
        return self.browser.find_element("css selector", name)

    def until(self, shown):
        """Wait until this field, run and frame are drawn."""
        from selenium.webdriver.support.ui import WebDriverWait

        player = self.find(".player")
        wait = WebDriverWait(self.browser, 20, poll_frequency=0.05)
        wait.until(lambda _: player.get_attribute("data-shown") == shown)

    def pixels(self, strip):
        """What a panel shows, as (row, column, colour)."""
        code = """const c = document.querySelector(arguments[0]);
            const {width, height} = c;
            return [width, height, Array.from(c.getContext("2d").getImageData(0, 0, width,
            height).data)];"""
        width, height, values = self.browser.execute_script(code, f".strip.{strip} canvas")
        return np.array(values).reshape(height, width, 4)[..., :3]

    def move(self, frame):
        """Move the slider as a hand does."""
        code = """const l = document.querySelector(".lead"); l.value = arguments[0];
            l.dispatchEvent(new Event("input", {bubbles: true}));"""
        self.browser.execute_script(code, str(frame))

    def choose(self, what, text):
        from selenium.webdriver.support.ui import Select

        Select(self.find(f"select.{what}")).select_by_visible_text(text)

    def complaints(self):
        """What the console calls an error: a script that failed, or something that was refused."""
        log = self.browser.get_log("browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


def moving(ds, path):
    """A page with the player alone."""
    return save_page(path, "t", [Section("s", [player(ds)])])


def expected(ds, strip, run, frame):
    """Pixels by the colour scale itself, top row first."""
    values = strip.values.isel(time=frame).transpose("y", "x").values[::-1]
    scale = strip.scale
    level = np.clip(np.rint(253 * (values - scale.low) / (scale.high - scale.low)), 0, 253)
    return scale.colours(level / 253, bytes=True)[..., :3]


def test_the_slider_moves_truth_prediction_and_error_together(tmp_path, rollout, browser):
    ds = rollout(shape=(8, 6), frames=3)
    page = Page(browser, report(ds, tmp_path / "r.html"))
    for field, name in enumerate(("tracer", "velocity_x")):
        page.choose("field", name)
        for run in (0, 1):
            page.choose("run", f"run {run}")
            found = strips(ds, name, run)
            for frame in (0, 1):
                page.move(frame)
                page.until(f"{field},{run},{frame}")
                for strip in found:
                    assert np.array_equal(page.pixels(strip.name), expected(ds, strip, run, frame))
    assert page.find(".now").text == "2 s (2 of 2)"
    assert page.find(".lead").get_attribute("aria-valuetext") == "2 s"
    label = page.find(".strip.error canvas").get_attribute("aria-label")
    assert label == "error of velocity_x, run 1, at lead time 2 s"
    assert page.complaints() == []


def test_keys_and_the_play_button_step_through_time(tmp_path, rollout, browser):
    from selenium.webdriver.common.keys import Keys

    page = Page(browser, moving(rollout(shape=(6, 4), frames=6), tmp_path / "r.html"))
    body = page.find("body")
    for key, frame in ((Keys.ARROW_RIGHT, 1), (Keys.END, 4), (Keys.ARROW_LEFT, 3), (Keys.HOME, 0)):
        body.send_keys(key)
        page.until(f"0,0,{frame}")
    first = page.pixels("truth")
    body.send_keys(Keys.SPACE)
    page.until("0,0,4")
    assert not np.array_equal(page.pixels("truth"), first)
    page.find(".play").click()
    assert page.find(".play").get_attribute("aria-pressed") == "true"
    page.until("0,0,4")
    assert page.find(".play").get_attribute("aria-pressed") == "false"
    page.find(".lead").send_keys(Keys.ARROW_LEFT)
    page.until("0,0,3")


def test_a_line_has_its_profile_and_a_cube_three_planes(tmp_path, rollout, browser):
    line = Page(browser, moving(rollout(shape=(8,), frames=6), tmp_path / "line.html"))
    assert line.pixels("truth").shape[:2] == (8, 5)
    before = line.find(".profile path").get_attribute("d")
    marker = line.find(".strip.truth .marker")
    line.move(4)
    line.until("0,0,4")
    assert line.find(".profile path").get_attribute("d") != before
    assert marker.get_attribute("style") == "left: 90%;"  # the middle of the last of five frames
    cube = Page(browser, moving(rollout(shape=(4, 6, 5), frames=3), tmp_path / "cube.html"))
    assert len(browser.find_elements("css selector", ".strip.error canvas")) == 3
    assert cube.complaints() == []


def test_names_from_data_run_nothing(tmp_path, rollout, browser):
    ds = rollout(shape=(6, 4), frames=3).rename(tracer=EVIL, truth_tracer=f"truth_{EVIL}")
    page = Page(browser, moving(ds.assign_attrs(system=EVIL), tmp_path / "r.html"))
    page.move(1)
    page.until("0,0,1")
    assert browser.title != "caught"
    assert page.find("select.field option").text == EVIL


def test_in_print_controls_are_gone_and_nothing_is_cut(tmp_path, rollout, browser):
    picture = Figure(figsize=(12, 15))
    picture.subplots()
    table = Grid(["field"] * 7, [["0.0420 ± 0.0025"] * 7] * 3)
    blocks = [player(rollout(shape=(8, 6), frames=4)), table, Picture(picture, "tall")]
    page = Page(browser, save_page(tmp_path / "r.html", "t", [Section("s", blocks)]))
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    # A4 between its margins: 180 mm at 96 pixels an inch.
    paper = {"width": 680, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
    try:
        for name in (".play", ".slide", ".under"):
            assert not page.find(f".player {name}").is_displayed(), name
        tops = {page.find(f".strip.{s}").rect["y"] for s in ("truth", "prediction", "error")}
        assert len(tops) == 1
        style = "return getComputedStyle(arguments[0])[arguments[1]]"
        for name, key in (
            ("figure", "breakInside"),
            (".strip", "breakInside"),
            ("h2", "breakAfter"),
        ):
            assert browser.execute_script(style, page.find(name), key) == "avoid"
        assert (
            browser.execute_script(style, page.find("body"), "backgroundColor")
            == "rgb(255, 255, 255)"
        )
        for part in browser.find_elements("css selector", "table, img, canvas, svg"):
            assert part.rect["x"] + part.rect["width"] <= 680
            assert part.rect["height"] <= 22 / 2.54 * 96 + 1 or part.tag_name == "table"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
