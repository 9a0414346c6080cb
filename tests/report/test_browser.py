"""The report in a real Chromium: no errors, no request, legends that work, light and dark, desktop and phone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import launched

from semiseg.report import write_report


def until(page: Any, expression: str, seconds: float = 10) -> None:
    """Wait for a JavaScript expression. Playwright's own waiting evaluates text, which the page's policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as started:
        yield started


@pytest.fixture(scope="module")
def report(runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(runs, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def opened(browser: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page, and at the end the proof that it neither complained nor asked anybody for anything."""
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1200, "height": 900}}))
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: asked.append(one.url))
    page.goto(report.as_uri())
    until(page, "document.querySelectorAll('.js-plotly-plot .main-svg').length > 0")
    yield page
    page.wait_for_timeout(100)
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]


def test_every_chart_is_drawn(opened: Any) -> None:
    places = opened.locator("[data-chart]").count()
    assert places >= 10
    assert opened.locator(".js-plotly-plot").count() == places
    assert opened.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    opened.locator("details summary").first.click()
    assert opened.locator("details table").first.is_visible()


@pytest.mark.parametrize("key", ["miou", "iou-0", "pseudo-labels"])
def test_legend_click_hides_a_trace(opened: Any, key: str) -> None:
    chart = opened.locator(f"[data-chart='{key}']")
    drawn = "scatterlayer .trace" if key != "iou-0" else "barlayer .trace"
    before = chart.locator(f".{drawn}").count()
    chart.locator(".legendtoggle").first.click()
    until(opened, f"document.querySelector(\"[data-chart='{key}']\").data[0].visible === 'legendonly'")
    until(opened, f"document.querySelectorAll(\"[data-chart='{key}'] .{drawn}\").length === {before - 1}")
    opened.wait_for_timeout(400)  # a second click at once would be a double click
    chart.locator(".legendtoggle").first.click()
    until(opened, f"document.querySelector(\"[data-chart='{key}']\").data[0].visible === true")


def test_charts_follow_the_system_to_dark(opened: Any) -> None:
    def colours() -> list[str]:
        return opened.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " document.querySelector('[data-chart=miou] .xtick text').style.fill]"
        )

    opened.emulate_media(color_scheme="light")
    light = colours()
    opened.emulate_media(color_scheme="dark")
    until(opened, f"document.querySelector('[data-chart=miou] .xtick text').style.fill !== '{light[1]}'")
    assert contrast(*light) > 7 and contrast(*colours()) > 7


def contrast(a: str, b: str) -> float:
    """WCAG contrast of two CSS rgb() colours."""

    def luminance(colour: str) -> float:
        channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}


@pytest.mark.parametrize("opened", [PHONE], indirect=True)
def test_on_a_phone_nothing_sticks_out_and_it_scrolls(opened: Any, tmp_path: Path) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot .main-svg')]"
        ".every((s) => s.getBoundingClientRect().right <= innerWidth)"
    )
    assert opened.evaluate("document.querySelector('[data-chart=miou]').layout.dragmode") is False
    picture = opened.screenshot(path=tmp_path / "phone.png")
    assert len(picture) > 20_000


def test_the_sentence_comes_first_then_pictures_then_figures(opened: Any) -> None:
    tops = opened.evaluate(
        "['#meaning', '#pictures', '#headline', '#miou']"
        ".map((s) => document.querySelector(s).getBoundingClientRect().top)"
    )
    assert tops == sorted(tops) and len(set(tops)) == 4
    assert opened.locator("#meaning p").first.inner_text().startswith("The unlabelled images ")


@pytest.mark.parametrize("opened", [PHONE], indirect=True)
def test_on_a_phone_every_figure_stands_beside_its_name(opened: Any) -> None:
    boxes = opened.evaluate(
        "[...document.querySelectorAll('#headline .cards td')].map((c) => [c.getBoundingClientRect().left,"
        " c.getBoundingClientRect().right, getComputedStyle(c, '::before').content])"
    )
    assert len(boxes) >= 10 and all(left >= 0 and right <= 390 for left, right, _ in boxes)
    assert {'"student, last"', '"crops a step"'} <= {name for *_, name in boxes}
    assert not opened.locator("#headline .cards thead").is_visible()


def test_on_a_desktop_the_figures_are_a_table(opened: Any) -> None:
    assert opened.locator("#headline .cards thead").is_visible()
    assert opened.evaluate("getComputedStyle(document.querySelector('#headline td'), '::before').content") == "none"


def test_the_buttons_of_a_chart_cover_no_legend(opened: Any) -> None:
    chart = opened.locator("[data-chart='miou']")
    chart.scroll_into_view_if_needed()
    chart.hover()
    legend, buttons = (chart.locator(name).first.bounding_box() for name in (".legend", ".modebar-group"))
    assert buttons["width"] > 0 and buttons["x"] >= legend["x"] + legend["width"]
