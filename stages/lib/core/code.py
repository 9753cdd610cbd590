"""Digests of the code that decides what a stage writes.

The digest of a module is the sha256 of its syntax tree, without comments, docstrings and layout, in which every name of
another module of ours is replaced by the digest of that module. So a comment changes nothing, a module that moves to
another folder changes nothing, and an edit changes the digests of exactly the modules that use it.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from stages.lib.console.errors import UserError

PACKAGES = ("stages", "commands")
# The beginning of a module name that is completed at run time, such as "stages.lib." + name: a digest cannot follow it.
OPEN_NAME = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)*\.$")
MODULE_NAME = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)+")  # in a string: `-m stages.x`, a plugin's class
ROOMS_WITHOUT_BYTES = {"console", "settings"}  # what users see; what stands as values in data/checked
SCREEN = "screen"  # the module of a room or a command that prints


class Code:
    """The modules of a checkout, by their dotted names."""

    def __init__(self, root: Path = Path()) -> None:
        self._root = root
        self._digests: dict[str, str] = {}
        self._used: dict[str, set[str]] = {}
        self._open: list[str] = []

    def digest(self, module: str) -> str:
        """Return the sha256 of a module with all that it uses, in hex; empty for one that decides no bytes.

        Raises UserError for a name of ours that is not a module, for an import circle and for a syntax error.
        """
        if decides_no_bytes(module):
            return ""
        if module in self._open:
            circle = [*self._open[self._open.index(module) :], module]
            raise UserError(f"the modules {' -> '.join(circle)} import each other in a circle: move what they share")
        if module not in self._digests:
            self._open.append(module)
            self._digests[module] = self._compute(module)
            self._open.pop()
        return self._digests[module]

    def modules(self, module: str) -> set[str]:
        """Return the module and all modules of ours that its digest covers."""
        self.digest(module)
        covered, waiting = set[str](), [module]
        while waiting:
            name = waiting.pop()
            if name not in covered and not decides_no_bytes(name):
                covered.add(name)
                waiting += self._used[name]
        return covered

    def files(self, module: str) -> list[Path]:
        """Return a module's source file and, after it, the data files of its name: paper.yaml belongs to paper.py."""
        source = self._find(module)
        if source is None:
            raise UserError(f"{module} is not a module of this checkout")
        if source.name == "__init__.py":
            return [source]
        return [source, *sorted(path for path in source.parent.glob(f"{source.stem}.*") if path.suffix != ".py")]

    def _find(self, module: str) -> Path | None:
        """Return the source file of a module or package."""
        base = self._root.joinpath(*module.split("."))
        candidates = (base.with_suffix(".py"), base / "__init__.py")
        return next((path for path in candidates if path.is_file()), None)

    def _compute(self, module: str) -> str:
        source, *data = self.files(module)
        try:
            tree = ast.parse(source.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise UserError(f"{source}:{error.lineno}: {error.msg}") from None
        normalised = _Normaliser(self, module, source)
        text = ast.dump(normalised.visit(tree))
        self._used[module] = normalised.used
        parts = [text, *sorted(normalised.imports)]
        parts += [f"{path.name.removeprefix(source.stem)} {_sha256(path.read_bytes())}" for path in data]
        return _sha256("\n".join(parts).encode())

    def resolve(self, name: str, where: str) -> tuple[str, str]:
        """Split a dotted name into the longest module that it begins with and the rest, which that module defines."""
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            module, rest = ".".join(parts[:length]), ".".join(parts[length:])
            if self._defines(module, rest):
                return module, rest
        raise UserError(f"{where} names {name}, which is not a module of this checkout")

    def _defines(self, module: str, name: str) -> bool:
        """Tell whether a module exists and can define a name: a package with a docstring alone defines none."""
        source = self._find(module)
        if source is None or not name or source.name != "__init__.py":
            return source is not None
        return not all(isinstance(node, ast.Expr) for node in ast.parse(source.read_text(encoding="utf-8")).body)


class _Normaliser(ast.NodeTransformer):
    """Takes docstrings and imports of ours out of a tree, and puts digests in the place of module names in strings."""

    def __init__(self, code: Code, module: str, source: Path) -> None:
        self._code, self._module, self._source = code, module, source
        self.used: set[str] = set()
        self.imports: list[str] = []

    def _use(self, module: str) -> str:
        if module == self._module:
            return "itself"
        self.used.add(module)
        return self._code.digest(module)

    def _where(self, node: ast.stmt | ast.expr) -> str:
        return f"{self._source}:{node.lineno}"

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        others = [alias for alias in node.names if alias.name.split(".")[0] not in PACKAGES]
        for alias in node.names:
            if alias not in others:
                self._add_module(alias.name, alias.asname or alias.name, self._where(node))
        return ast.Import(others) if others else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        package = self._absolute(node)
        if package.split(".")[0] not in PACKAGES:
            return node
        for alias in node.names:
            self._add_import(package, alias, self._where(node))
        return None

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the module that an import names, also where it names it relative to its own."""
        base = self._module.split(".")[: -node.level] if node.level else []
        return ".".join([*base, *([node.module] if node.module else [])])

    def _add_import(self, package: str, alias: ast.alias, where: str) -> None:
        name = f"{package}.{alias.name}"
        module, rest = self._code.resolve(name, where)
        if rest:
            self.imports.append(f"{self._use(module)} {rest} {alias.asname or ''}")
        else:
            self.imports.append(f"{self._use(module)} as {alias.asname or alias.name}")

    def _add_module(self, name: str, local_name: str, where: str) -> None:
        module, rest = self._code.resolve(name, where)
        if rest:
            raise UserError(f"{where} names {name}, which is not a module of this checkout")
        self.imports.append(f"{self._use(module)} as {local_name}")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        for part, following in pairwise(node.values):
            if isinstance(following, ast.FormattedValue) and isinstance(part, ast.Constant):
                self._refuse_open_name(part, OPEN_NAME.search(str(part.value)))
        return self.generic_visit(node)

    def _refuse_open_name(self, node: ast.Constant, match: re.Match[str] | None) -> None:
        """Raise UserError for a module name that is completed at run time."""
        if match:
            raise UserError(f"{self._where(node)} completes the name {match[0]!r} at run time: write it in full")

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if not isinstance(node.value, str):
            return node
        self._refuse_open_name(node, OPEN_NAME.fullmatch(node.value))
        text = MODULE_NAME.sub(lambda match: self._replace(match[0], node), node.value)
        return ast.Constant(text)

    def _replace(self, name: str, node: ast.Constant) -> str:
        module, rest = self._code.resolve(name, self._where(node))
        return f"{self._use(module)}.{rest}" if rest else self._use(module)


def decides_no_bytes(module: str) -> bool:
    """Tell whether a module only reads settings or prints: what it does is in no out of a stage."""
    parts = module.split(".")
    return parts[-1] == SCREEN or bool(ROOMS_WITHOUT_BYTES.intersection(parts[2:3]))


def stage_names(root: Path = Path()) -> Iterator[str]:
    """Yield the names of the stages, in the order of their files."""
    return (path.stem for path in sorted((root / "stages").glob("[!_]*.py")))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
