"""What programs of others print, on our screen."""

from pathlib import Path

import pytest

from stages.lib.console.child_output import ChildOutput

OUTPUT = (
    "Loading weights:   0%|          | 0/21 [00:00<?, ?it/s]\rLoading weights: 100%|████| 21/21 [00:00<00:00, 37it/s]\n"
    "tiny: quiz (1 of 2)\n"
    "  0%|          | 0/6 [00:00<?, ?it/s]\r100%|████| 6/6 [00:00<00:00, 99it/s]\n"
    "Running generate_until requests:   0%|   | 0/18 [00:00<?, ?]\rRunning generate_until requests:  50%|# | 9/18 [00:"
)
ERROR = "01<00:01,  9it/s]Traceback (most recent call last):\n  File x\nValueError: 100%| of row 3 is torn"


def show(path: Path, *parts: str, shows_lines: bool = True) -> None:
    """Follow a file to which a program appends these parts, and then ends."""
    with path.open("w+b") as written, path.open("rb") as read:
        output = ChildOutput(read, "tiny", shows_lines=shows_lines)
        for part in parts:
            written.write(part.encode())
            written.flush()
            output.update()
        output.close()


def test_bars_become_ours_and_no_line_of_the_program_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(tmp_path / "log", OUTPUT, ERROR)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "tiny: loading weights: 21 of 21 weights",
        "tiny: quiz (1 of 2)",
        "tiny: 6 of 6 rows",
        "Traceback (most recent call last):",
        "  File x",
        "ValueError: 100%| of row 3 is torn",
        "tiny: running generate_until requests: 9 of 18 requests",
    ]


def test_a_line_or_letter_that_arrives_in_two_parts_is_shown_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(tmp_path / "log", "a li", "ne\nno end")
    assert capsys.readouterr().err == "a line\nno end\n"


def test_a_program_with_a_log_of_its_own_shows_its_bars_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(
        tmp_path / "log",
        "a line\nTokenizing Prompts (num_proc=2):  40%|##  | 40/100 [00:01<00:02, 40 examples/s]",
        shows_lines=False,
    )
    assert capsys.readouterr().err.startswith("tiny: tokenizing prompts: 40 of 100 rows, ")
