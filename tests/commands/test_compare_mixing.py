"""`make compare` on two DGMs: may the rows of both be mixed?"""

from pathlib import Path
from typing import Any

import pytest

from commands.compare.command import main
from stages.lib.console.errors import UserError
from stages.lib.core.files import read_json, write_json
from tests.support.compared import make_checkout, write_compared, write_dgm

# A hundred replies of 5 to 14 words, with a bold one in every second.
REPLIES = [f"{'**Yes**' if n % 2 else 'Yes'} number {n}: " + "word " * (2 + n % 10) for n in range(100)]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two DGMs, `one` and `two`, that are not compared."""
    make_checkout(tmp_path, compare=("base",))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(*words: str) -> dict[str, Any]:
    """Run the command; the numbers that it wrote, its lines by name."""
    main(["one", "two", "--out", "out", *words])
    numbers: dict[str, Any] = read_json(Path("out/comparison.json"))
    numbers["mixing"] = {line["name"]: line for line in numbers["mixing"]}
    return numbers


def verdicts(numbers: dict[str, Any]) -> dict[str, str]:
    """The verdict of each line."""
    return {name: line["difference"]["verdict"] for name, line in numbers["mixing"].items()}


def test_the_same_replies_are_equivalent_in_every_measure(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("one", "two"):
        write_dgm(checkout, model, REPLIES, ["loop", "echo"], ["length"])
    numbers = compare()
    assert set(verdicts(numbers).values()) == {"equivalent"}
    assert {line["difference"]["value"] for line in numbers["mixing"].values()} == {0}
    assert numbers["mixable"] == "Yes: on the same 100 prompts both are equivalent in every measure."
    assert numbers["likeness"]["equal"]["value"] == 1 and numbers["likeness"]["rouge1"]["value"] == 1
    assert "May the rows of both be mixed? Yes" in capsys.readouterr().out


def test_longer_replies_are_named_and_forbid_the_mix(checkout: Path) -> None:
    write_dgm(checkout, "one", REPLIES)
    write_dgm(checkout, "two", [text + " more" * (3 + n % 3) for n, text in enumerate(REPLIES)])
    numbers = compare()
    words = numbers["mixing"]["words per reply"]
    assert words["difference"]["value"] == pytest.approx(-3.99, abs=0.01)
    assert words["margin"] == pytest.approx(0.1 * (words["one"]["value"] + words["other"]["value"]) / 2, abs=0.001)
    assert numbers["mixing"]["refusals"]["margin"] == 0.05 and numbers["mixing"]["Markdown per reply"]["margin"] == 0.5
    assert verdicts(numbers) | {"words per reply": ""} == dict.fromkeys(verdicts(numbers), "equivalent") | {
        "words per reply": ""
    }
    assert numbers["mixable"] == "No: they differ in words per reply."


def test_shares_of_refusals_cuts_and_reasons_are_compared_prompt_by_prompt(checkout: Path) -> None:
    refusal = "I'm sorry, but I can't help with that."
    write_dgm(checkout, "one", [refusal] * 40 + REPLIES[40:], ["echo"] * 30, ["length"] * 50)
    write_dgm(checkout, "two", REPLIES)
    lines = compare()["mixing"]
    shares = {
        name: (line["one"]["value"], line["other"]["value"], line["difference"]["verdict"])
        for name, line in lines.items()
    }
    assert shares["refusals"] == (0.4, 0, "better")  # more
    assert shares["cut replies"] == (0.5, 0, "better")
    assert shares["kept by validation"] == (0.7, 1, "worse")  # fewer
    assert shares["echo"] == (0.3, 0, "better") and shares["loop"] == (0, 0, "equivalent")


def test_few_prompts_do_not_decide_and_the_answer_says_how_many_would(checkout: Path) -> None:
    for model in ("one", "two"):
        write_dgm(checkout, model, REPLIES)
    numbers = compare("--num", "10")
    assert numbers["num_prompts"] == 10 and verdicts(numbers)["refusals"] == "not decided"
    assert numbers["mixable"].startswith("Not decided: refusals (about ")


def test_only_prompts_that_both_have_count(checkout: Path) -> None:
    write_dgm(checkout, "one", REPLIES[:70])
    write_dgm(checkout, "two", REPLIES)
    assert compare()["num_prompts"] == 70


def test_the_finish_reasons_of_imported_replies_are_not_known_so_that_cuts_are_not_decided(checkout: Path) -> None:
    write_dgm(checkout, "one", REPLIES)
    write_dgm(checkout, "two", REPLIES, finish=["imported"] * 100)
    numbers = compare()
    assert numbers["mixing"]["cut replies"]["reason"] == "no row has a value of both"
    assert numbers["mixable"] == "Not decided: cut replies (no row has a value of both)."


def test_similarity_stands_beside_that_with_the_other_dgms(checkout: Path) -> None:
    for model in ("one", "two"):
        write_dgm(checkout, model, REPLIES)
    (checkout / "data/similarity").mkdir()
    pairs = {"one two": 0.9, "one other": 0.4, "third one": 0.6, "third other": 0.1}
    write_json(checkout / "data/similarity/.pairs.json", {pair: {"rouge1": {"mean": m}} for pair, m in pairs.items()})
    assert compare()["likeness"]["others"] == {"one": {"dgms": 2, "value": 0.5}}


def test_two_models_that_are_both_are_compared_in_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    for model in ("one", "two"):
        write_dgm(tmp_path, model, REPLIES)
    assert compare()["notices"] == [
        f"{model} was not evaluated and judged yet: run `dvc repro digest_model@{model}`" for model in ("one", "two")
    ]
    for model, score in (("one", 9), ("two", 5)):
        write_compared(tmp_path, model, {"quiz": "+-"}, ["Yes."] * 16, [score] * 16)
    numbers = compare()
    assert numbers["scores"] and numbers["notices"] == ["The same files on both sides: answers."]
    assert numbers["mixing"]["judge's score"]["difference"]["verdict"] == "better"
    assert numbers["mixable"] == "No: they differ in judge's score."


def test_without_a_prompt_in_common_there_is_nothing_to_say(checkout: Path) -> None:
    write_dgm(checkout, "one", [])
    write_dgm(checkout, "two", REPLIES)
    with pytest.raises(UserError, match="one and two have no prompt in common"):
        compare()
