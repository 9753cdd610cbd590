"""What some stages and tests need besides the environments: WordNet, Chromium, Evalchemy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from commands.doctor.findings import BROKEN, MISSING, OK, Finding, short

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WORDNET = ("corpora/wordnet", "corpora/wordnet.zip")
DICTIONARY = "data.noun"  # the largest file of WordNet
INSTALLATION = Path("stages/lib/evaluation/evalchemy/installation.py")


def look_at_tools(facts: dict[str, Any]) -> list[Finding]:
    """Return the findings on the tools that are here."""
    return [look_at_wordnet(bool(facts.get("synonyms"))), look_at_chromium(), look_at_evalchemy()]


def wordnet_places() -> list[Path]:
    """Return the folders in which nltk looks for data, ours first."""
    given = [Path(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    system = [Path(folder) for folder in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")]
    places = [*given, Path.home(), Path(".venv"), Path(".venv/share"), Path(".venv/lib"), *system]
    return [place if place in given else place / "nltk_data" for place in places]


def look_at_wordnet(needed: bool) -> Finding:
    """Look for WordNet where nltk does."""
    found = [place / name for place in wordnet_places() for name in WORDNET if (place / name).exists()]
    if not found:
        why = "similarity.synonyms is true" if needed else "METEOR then counts no synonyms"
        return Finding("WordNet", BROKEN if needed else MISSING, f"not installed; {why}", "make wordnet")
    dictionary = found[0] / DICTIONARY
    if found[0].is_dir() and not (dictionary.exists() and dictionary.stat().st_size):
        return Finding("WordNet", BROKEN, f"{short(found[0])} has no {DICTIONARY}", "make wordnet")
    return Finding("WordNet", OK, short(found[0]))


def look_at_chromium() -> Finding:
    """Look for the browser in which tests look at the pages."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path:
        return Finding("Chromium", OK, short(path))
    return Finding("Chromium", MISSING, "not on the path; only tests of the pages need it, and are skipped")


def look_at_evalchemy() -> Finding:
    """Look for the clone of Evalchemy, at the commit that is pinned."""
    match = re.search(r'^COMMIT = "(.*)"', INSTALLATION.read_text(encoding="utf-8"), re.MULTILINE)
    commit = match.group(1) if match else sys.exit(f"{INSTALLATION} names no COMMIT")
    home = Path(os.environ.get("EVALCHEMY_HOME", ".evalchemy"))
    if not (home / ".git").exists():
        return Finding("Evalchemy", MISSING, "no clone; MTBench, AlpacaEval and MixEval need it", "make evalchemy")
    command = ["git", "-C", str(home), "cat-file", "-e", f"{commit}^{{commit}}"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return Finding("Evalchemy", BROKEN, f"{short(home)} has no commit {commit[:12]}", "make evalchemy")
    return Finding("Evalchemy", OK, f"{short(home)}, with commit {commit[:12]}")
