"""Tables and heat maps: sorted, filtered and copied in a real browser, legible in every shade, whole on paper."""

import csv
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from stages.lib.report.page import render
from stages.lib.report.tables.heat import HeatCell, HeatMap, shade_between, shade_difference
from tests.support.chromium import Visit, visit

ROWS = [  # model, score, share, rows, time
    ("b-10", "0.81 (0.76 to 0.85)", "12 %", "1,234", "2 min 05 s"),
    ("b-9", "–", "9 %", "999", "1 h 00 min"),
    ("a", "-0.2", "100 %", "12", "31.5 s"),
    ("m, \"x\"", "missing", "0.5 %", "20,000", "–"),
]  # fmt: skip
PAGE = """{% include "page.head.html" %}
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src '{{ tables_script_hash }}'">
<title>Try: it</title>
<style>{% include "page.css" %}{% include "index.css" %}{% include "page.tables.css" %}</style></head>
<body><main><section id="made"><h2>Made up</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr>{% for name in heads %}<th scope="col">{{ name }}<small>of all</small></th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr><th scope="row"><bdi class="name">{{ row[0] }}</bdi></th>
{%- for text in row[1:] %}<td>{{ text }}{% if loop.last %}<small>n = 3</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<figure><figcaption>A chart</figcaption>
<svg xmlns="http://www.w3.org/2000/svg"><title>Dots by model</title><text>å</text></svg></figure>
<table id="shades"><tr>{% for shade in shades %}<td class="{{ shade }}">1</td>{% endfor %}</tr></table>
</section></main><script>{{ tables_script }}</script></body></html>"""
HEADS = ("Model", "score", "share", "rows", "time")
SHADES = [f"{side}{number}" for side, number in product("hn", range(1, 7))]


def write_page(folder: Path, rows: Sequence[tuple[str, ...]]) -> Path:
    template = folder / "page.html"
    template.write_text(PAGE, encoding="utf-8")
    page = folder / "index.html"
    page.write_text(render(template, {"heads": HEADS, "rows": rows, "shades": SHADES}), encoding="utf-8")
    return page


@pytest.fixture
def table(chromium: Browser, tmp_path: Path) -> Iterator[Visit]:
    """A page with a table of three times the rows."""
    with visit(chromium, write_page(tmp_path, ROWS * 3)) as opened:
        yield opened


def names(opened: Visit) -> list[str]:
    found: list[str] = opened.run(
        "[...document.querySelectorAll('tbody tr:not([hidden]) .name')].map(e => e.textContent)"
    )
    return found


def test_a_header_sorts_by_value_with_the_keyboard_too_and_what_is_missing_stays_last(table: Visit) -> None:
    before = names(table)
    head = table.page.get_by_role("button", name="score")
    head.click()
    assert names(table)[:6] == ["b-10"] * 3 + ["a"] * 3 and set(names(table)[6:]) == {"b-9", 'm, "x"'}
    assert table.page.get_by_role("columnheader", name="score").get_attribute("aria-sort") == "descending"
    head.press("Enter")
    assert names(table)[:6] == ["a"] * 3 + ["b-10"] * 3 and set(names(table)[6:]) == {"b-9", 'm, "x"'}
    head.press("Space")
    assert names(table) == before, "the third time as it was"
    for column, first in {"share": "a", "rows": 'm, "x"', "time": "b-9", "Model": "a"}.items():
        table.page.get_by_role("button", name=column).click()
        assert names(table)[:3] == [first] * 3, column
    assert names(table) == ["a"] * 3 + ["b-9"] * 3 + ["b-10"] * 3 + ['m, "x"'] * 3, "numbers in names count"
    assert table.run("document.querySelectorAll('[aria-sort]').length") == 1


def test_a_table_of_many_rows_has_a_filter(table: Visit) -> None:
    field = table.page.get_by_role("searchbox")
    field.fill("B- 1,23")
    assert names(table) == ["b-10"] * 3
    assert table.text(".tools [role=status]") == "3 of 12 rows"
    field.fill("")
    assert len(names(table)) == 12


def test_a_table_is_copied_whole_in_its_present_order(table: Visit) -> None:
    table.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    table.page.get_by_role("button", name="Model").click()
    table.page.get_by_role("searchbox").fill("b-9")
    table.page.get_by_role("button", name="copy as CSV").click()
    table.page.get_by_text("copied").wait_for()
    rows = list(csv.reader(table.run("navigator.clipboard.readText()").splitlines()))
    assert rows[0] == ["Model (of all)", "score (of all)", "score (of all): details", "share (of all)", "rows (of all)",
                       "time (of all)", "time (of all): details"]  # fmt: skip
    assert rows[1] == ["a", "-0.2", "", "100 %", "12", "31.5 s", "n = 3"]
    assert rows[7] == ["b-10", "0.81", "0.76 to 0.85", "12 %", "1234", "2 min 05 s", "n = 3"]
    assert rows[12] == ['m, "x"', "", "", "0.5 %", "20000", "", "n = 3"] and len(rows) == 13


def test_where_the_clipboard_is_refused_a_table_is_saved_and_a_chart_always(table: Visit) -> None:
    table.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    with table.page.expect_download() as saved:
        table.page.get_by_role("button", name="copy as CSV").click()
    assert saved.value.suggested_filename == "try-it-made-1.csv"
    assert saved.value.path().read_text(encoding="utf-8-sig").startswith("Model (of all),score")
    with table.page.expect_download() as saved:
        table.page.get_by_role("link", name="Dots by model").click()
    assert saved.value.suggested_filename == "try-it-made-dots-by-model.svg"
    assert "<text>å</text>" in saved.value.path().read_text(encoding="utf-8")


def test_a_table_without_the_script_reads_and_offers_nothing(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, write_page(tmp_path, ROWS), scripts=False) as opened:
        assert opened.text("tbody tr") == "b-10\t0.81 (0.76 to 0.85)\t12 %\t1,234\t2 min 05 s\nn = 3"
        assert opened.page.locator("button, input").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_are_legible_on_every_shade(chromium: Browser, tmp_path: Path, theme: str) -> None:
    with visit(chromium, write_page(tmp_path, ROWS), theme="dark" if theme == "dark" else "light") as opened:
        colours = opened.run("""[...document.querySelectorAll("#shades td")].map((cell) => {
          const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          const read = (colour) => { context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3); };
          return [read(getComputedStyle(cell).color), read(getComputedStyle(cell).backgroundColor)]; })""")
        assert len(colours) == len(SHADES) and len({tuple(paper) for _, paper in colours}) == len(SHADES)
        assert min(contrast(ink, paper) for ink, paper in colours) >= 4.5, "WCAG 2.2, 1.4.3"


def contrast(one: list[int], other: list[int]) -> float:
    """The contrast of two colours, by WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: list[int]) -> float:
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_dark_page_is_printed_on_white_without_buttons(chromium: Browser, tmp_path: Path) -> None:
    with visit(chromium, write_page(tmp_path, ROWS * 3), width=700, theme="dark") as opened:
        opened.page.emulate_media(media="print", color_scheme="dark")
        assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert opened.run("getComputedStyle(document.body).color") == "rgb(27, 30, 35)"
        assert not opened.page.locator(".tools, .save").first.is_visible()
        assert opened.run("document.documentElement.scrollWidth") <= 700


@pytest.mark.parametrize(("models", "size", "title"), [(8, "roomy", "d"), (9, "close", "n; d"), (21, "dense", "n; d")])
def test_cells_are_smaller_with_more_models_and_say_the_rest_by_pointing(models: int, size: str, title: str) -> None:
    cell = HeatCell("+0.1", 3, verdict="better", lines=["better", "n"], details="d")
    heat = HeatMap("", "", {str(model): {"x": cell} for model in range(models)}, ("", ""))
    assert (heat.size, heat.title(cell)) == (size, title)
    assert heat.below(cell) == (["better", "n"] if size == "roomy" else ())
    assert cell.classes == "h3 better" and heat.has_verdicts


def test_shades_are_deepest_at_the_ends() -> None:
    assert [shade_difference(value, 0.5) for value in (-0.5, -0.01, 0.25, 0.9)] == [-6, 0, 3, 6]
    assert [shade_between(value, 0.2, 0.6) for value in (0.2, 0.4, 0.6)] == [0, 3, 6]
    assert shade_difference(0.0, 0.0) == shade_between(0.3, 0.3, 0.3) == 0
    assert HeatCell("-1", -6, "not decided").classes == "n6 not-decided"
