"""The package's layout: a module imports only from above it, and importing the package stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "geomrelu"

# From the foundations to the entry points.  A name stands for the module or for all that is in the package.
ORDER = [
    "_version",
    "errors",
    "arrays",
    "matrices",
    "files",
    "patterns",
    "network",
    "domain",
    "importers",
    "affine",
    "exact",
    "sampling",
    "questions",
    "planar",
    "linear",
    "polyhedral",
    "exploration",
    "analysis",
    "crosscheck",
    "palette",
    "movies",
    "experiments",
    "io",
    "geotables",
    "io_polyhedral",
    "plot",
    "page",
    "partitioning",
    "tracking",
    "__init__",
    "cli",
    "__main__",
]
# Conveniences: methods of a result that hand over to the module that does the work, imported in the method.
DELEGATES = {
    "planar.complex": {"analysis", "geotables", "io", "page", "plot"},
    "questions": {"analysis"},
    "planar.measures": {"analysis"},
    "planar.questions": {"analysis"},
    "linear.complex": {"analysis", "plot"},
    "polyhedral.complex": {"analysis", "io_polyhedral", "plot"},
    "polyhedral.level_set": {"page", "plot"},
    "polyhedral.questions": {"analysis"},
}
HEAVY = (
    "torch",
    "shapely",
    "matplotlib",
    "sklearn",
    "pandas",
    "networkx",
    "onnx",
    "skops",
    "safetensors",
    "geopandas",
    "pyarrow",
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """Names of imported modules, and whether the import stands inside a function."""
    found: list[tuple[str, bool]] = []

    def walk(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "geomrelu":
                found.extend((f"geomrelu.{alias.name}", inside) for alias in node.names)
            else:
                found.append((node.module or "", inside))
        for child in ast.iter_child_nodes(node):
            walk(child, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    walk(tree, False)
    return found


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_import_only_from_above(path: Path) -> None:
    own = dotted(path)
    top = own.split(".")[0]
    assert top in ORDER, f"give {top} a place in the table"
    for name, inside in imports(ast.parse(path.read_text())):
        if not name.startswith("geomrelu."):
            continue
        target = name.split(".")[1]
        if target.startswith("__") and target != "__init__":
            continue
        if target == top or (inside and target in DELEGATES.get(own, set())):
            continue
        assert ORDER.index(target) < ORDER.index(top), f"{own} imports {name}, which stands below it"


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    if dotted(path).startswith(("importers.", "sampling.")):
        return  # What is made for one library may import it; these modules are imported on first use.
    for name, inside in imports(ast.parse(path.read_text())):
        assert inside or name.split(".")[0] not in HEAVY, f"{dotted(path)} imports {name} at its top"


def test_compiled_loops_know_no_network() -> None:
    compiled = {
        f"geomrelu.planar.{path.stem}"
        for path in (PACKAGE / "planar").glob("*.py")
        if any(
            isinstance(node, ast.alias) and node.name in {"njit", "lean", "inner"}
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert compiled
    allowed = {"geomrelu.arrays", "geomrelu.errors", "geomrelu.planar.bits", "geomrelu.planar.records", *compiled}
    for module in compiled:
        path = PACKAGE / "planar" / f"{module.rsplit('.', 1)[1]}.py"
        names = {name for name, _ in imports(ast.parse(path.read_text())) if name.startswith("geomrelu")}
        assert names <= allowed, f"{module} imports {sorted(names - allowed)}"


def test_kernels_call_inner_functions_of_their_own_folder_only() -> None:
    """numba's cache of a kernel is told of changes in the kernel's folder (`arrays._watch_neighbours`), no farther."""
    inner = {
        (f"geomrelu.{dotted(path)}", node.name)
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "inner" for d in node.decorator_list)
    }
    assert inner
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and any((node.module, alias.name) in inner for alias in node.names):
                folder = f"geomrelu.{dotted(path)}".rsplit(".", 1)[0]
                assert str(node.module).rsplit(".", 1)[0] == folder, f"{dotted(path)} compiles code of {node.module}"


def test_importing_the_package_is_light() -> None:
    # numba too: it takes longer than all else together, and only compiled loops need it.
    code = f"import sys, geomrelu; print([m for m in {(*HEAVY, 'numba', 'scipy')!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"
