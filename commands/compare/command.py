"""Compare two models: which is better, and may the rows of both be mixed? Not a stage.

python -m commands.compare A B [--num NUM] [--out OUT]     A, B: <id>, or <id>@<commit>; OUT: comparison/<A>-<B>

Of two models of `compare`: verdicts by benchmarks and by the judge, style and cost, and the rows on which they differ
most. Of two of `dgms`: their replies to the first NUM prompts that both answered. A model at a commit is read from
DVC's cache or remote. The screen has the tables; OUT/index.html has them with all intervals and the rows to read, and
OUT/comparison.json the numbers.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from commands.compare.comparison import NUM_PROMPTS, Comparison, compare, find_folder, read_settings
from commands.compare.page import build_page
from commands.compare.screen import describe
from commands.compare.sides import open_sides
from commands.out_folder import check_free
from stages.lib.console.errors import UserError
from stages.lib.core.files import write_json, write_text
from stages.lib.core.numbers import round_significant

NUMBERS = "comparison.json"  # a folder with this file is a comparison, and may be overwritten
PAGE = "index.html"
MOST_PROMPTS = 1_000_000


def check_out(out: Path) -> None:
    """Raise UserError when OUT is in use for something else."""
    if Path(".git").resolve() in out.resolve().parents or Path(".dvc").resolve() in out.resolve().parents:
        raise UserError(f"{out} is in a folder of git or DVC: name another folder for OUT")
    check_free(out, NUMBERS, "a comparison", ("data", "models", "metrics"))


def make_out(out: Path) -> None:
    """Make the folder OUT; raise UserError where that is not possible."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}): name another folder for OUT") from None


def write_comparison(out: Path, comparison: Comparison) -> None:
    """Write the page and the numbers."""
    write_json(out / NUMBERS, round_significant(asdict(comparison)))
    write_text(out / PAGE, build_page(comparison))


def read_number(text: str) -> int:
    """Return a number of prompts; raise UserError where it is none."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PROMPTS:
        raise UserError(f"NUM={text}: name a number of prompts, 1 to {MOST_PROMPTS:,}")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Compare the two models that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m commands.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("one", metavar="A")
    parser.add_argument("other", metavar="B")
    parser.add_argument("--num", default=str(NUM_PROMPTS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    num_prompts = read_number(options.num)
    with TemporaryDirectory(prefix="compare-") as scratch:
        sides = open_sides(options.one, options.other, Path(scratch))
        out = options.out or find_folder(sides)
        check_out(out)
        comparison = compare(sides, num_prompts, read_settings())
    for line in describe(comparison):
        print(line)
    make_out(out)
    write_comparison(out, comparison)
    print(f"the page: {out / PAGE}")
