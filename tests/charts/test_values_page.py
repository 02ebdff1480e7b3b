"""docs/values.md, the reference of all values, against the charts it is made from."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "values.md").read_text()
SCRIPT = ROOT / "packaging" / "values_page.py"
CHARTS = sorted(path.parent for path in (ROOT / "charts").glob("*/values.yaml"))


def headings() -> list[str]:
    tokens = MarkdownIt().parse(PAGE)
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]


def tables(chart: str) -> list[list[list[str]]]:
    """Tables of a chart's part of the page: rows of cells, as Markdown; the first row is the header."""
    tokens = MarkdownIt().enable("table").parse(PAGE)
    rows_by_table: list[list[list[str]]] = []
    part = ""
    for i, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            part = tokens[i + 1].content
        if chart not in part.split(" and "):
            continue
        if token.type == "table_open":
            rows_by_table.append([])
        elif token.type == "tr_open":
            rows_by_table[-1].append([])
        elif token.type == "inline" and tokens[i - 1].type in ("td_open", "th_open"):
            rows_by_table[-1][-1].append(token.content)
    return rows_by_table


def defaults(chart: str) -> dict[str, str]:
    """The page's defaults of a chart by dotted name, as YAML text; of sub-charts those that it changes."""
    values = {}
    for header, *rows in tables(chart):
        under = re.fullmatch(r"under `(\w+)`", header[0])
        for row in rows:
            name = row[0].removesuffix(" (deprecated)").strip("`")
            own = row[header.index(f"in {chart}")] if f"in {chart}" in header else ""
            values[f"{under[1]}.{name}" if under else name] = (own or row[header.index("default")]).strip("`")
    return values


def test_the_page_is_up_to_date() -> None:
    result = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_chart_has_a_part() -> None:
    parts = {name for heading in headings() for name in heading.split(" and ")}
    assert {chart.name for chart in CHARTS} <= parts


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_its_defaults_are_those_of_values_yaml(chart: Path) -> None:
    values = yaml.safe_load((chart / "values.yaml").read_text())
    shown = defaults(chart.name)
    assert shown
    for name, text in shown.items():
        assert yaml.safe_load(text) == at(values, name), name


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_every_default_is_on_the_page(chart: Path) -> None:
    shown = defaults(chart.name)
    for name, value in leaves(yaml.safe_load((chart / "values.yaml").read_text())):
        if not (chart / "charts" / name.split(".")[0]).exists():
            assert any(name == other or name.startswith(f"{other}.") for other in shown), (name, value)


def test_links_lead_to_headings() -> None:
    # GitHub's anchors: lower case, blanks become hyphens, other punctuation goes.
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings()]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= set(anchors)


def test_no_cell_is_an_essay() -> None:
    cells = [cell for chart in CHARTS for table in tables(chart.name) for row in table for cell in row]
    assert [cell for cell in cells if len(cell) > 360] == []


def at(values: Any, name: str) -> Any:
    """The value at a dotted name; None where there is none, as for a cell that is empty."""
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def leaves(values: Any, path: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict) or not values:
        return [(path, values)]
    return [leaf for name, inner in values.items() for leaf in leaves(inner, f"{path}.{name}".strip("."))]
