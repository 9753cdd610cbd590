"""The documentation: short pages, whose links, targets and modules exist."""

import re
from pathlib import Path

import pytest

from stages.lib.settings.sections import SECTIONS
from tests.support.project import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *ROOT.glob("[a-z]*/README.md")]
TEXTS += [ROOT / "stages/lib/comparison/README.md", ROOT / "stages/lib/checking/README.md"]
LINK = re.compile(r"\]\((?!https?://)([^)#]+)(?:#([\w-]+))?\)")
TARGET = re.compile(r"(?:^|`)make ([a-z]+)\b", re.MULTILINE)
MODULE = re.compile(r"python -m ((?:commands|perf|demo)\.\w+)")
PARAM = re.compile(rf"`({'|'.join(SECTIONS)})\.(?!py\b|parquet\b)(\w+)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_there_are_at_most_twelve_pages_of_at_most_150_lines() -> None:
    assert len(PAGES) <= 12
    assert {page.name: lines for page in PAGES if (lines := len(page.read_text().splitlines())) > 150} == {}


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
    for link, anchor in LINK.findall(page.read_text()):
        target = page.parent / link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_target_of_make_and_every_module_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    assert set(TARGET.findall(text)) <= targets
    for module in MODULE.findall(text):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_key_of_params_yaml_that_a_page_names_exists(page: Path) -> None:
    unknown = [f"{s}.{key}" for s, key in PARAM.findall(page.read_text()) if key not in SECTIONS[s].model_fields]
    assert unknown == []
