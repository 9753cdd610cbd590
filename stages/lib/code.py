"""The code that decides a stage's bytes: its own files, and the modules of stages/ that they name, with their data."""

import ast
import hashlib
import re
from pathlib import Path

STAGES = Path("stages")
DECIDES_NO_BYTES = {"lib.params", "lib.shell", "lib.training_screen"}  # reading a section, printing a line


def files_of(stage: str) -> list[Path]:
    """stages/<stage>.*, and every module of stages/ that they import, directly or through one another.

    A module is all files of its name: paper.yaml belongs to paper.py.
    """
    found: set[Path] = set()
    waiting = list(STAGES.glob(f"{stage}.*"))
    while waiting:
        path = waiting.pop()
        found.add(path)
        named = set(re.findall(r"\bstages\.((?:lib\.)?\w+)", path.read_text(encoding="utf-8")))
        modules = {file for name in named - DECIDES_NO_BYTES for file in STAGES.glob(f"{name.replace('.', '/')}.*")}
        waiting += modules - found
    return sorted(found)


def digest(path: Path) -> str:
    """The sha256 of a file; of Python, without comments, docstrings and layout: those decide nothing."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = ast.dump(_Bare().visit(ast.parse(text)))
    return hashlib.sha256(text.encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Takes away every expression that is nothing but a text: docstrings."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node
