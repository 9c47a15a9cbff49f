"""The rooms of the source tree hold to their map: the table in CONTRIBUTING.md says who may import whom."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAP = ROOT / ".github" / "CONTRIBUTING.md"
PARTS = ("search", "cluster", "results", "trainables", "spaces")
BELOW = {
    "search": {"cluster", "results", "trainables", "spaces"},
    "cluster": {"trainables", "spaces"},
    "results": {"trainables", "spaces"},
    "trainables": {"spaces"},
    "spaces": set(),
}
HEAVY = {"tensorflow", "keras", "jax", "ray", "mlflow", "torch"}
MOST_LINES, MOST_PARAMETERS, MOST_IMPORTS = 320, 7, 15
# The strategy decides from what it is given: it reads no file, no clock and no environment.
OUTSIDE_WORLD = {
    "pathlib",
    "os",
    "io",
    "shutil",
    "tempfile",
    "time",
    "sqlite3",
    "subprocess",
    "socket",
    "threading",
}
CLOCK = {"now", "utcnow", "today"}
# These come with a library that is asked for, in the version which that library needs.
COMES_WITH = {
    "pydantic_core": "pydantic",
    "sqlalchemy": "mlflow",
    "starlette": "mlflow",  # by fastapi
    "uvicorn": "mlflow",
    "google": "tensorboardx",
}
EXTRA_OF_ROOM = {
    "search/export": "export",
    "results/tracking/tensorboard": "trackers",
    "results/tracking/wandb": "trackers",
}


@dataclass(frozen=True)
class Room:
    """A row of the map: which rooms this one may import, and what loading its modules may load."""

    imports: frozenset[str]
    wildcards: frozenset[str]
    loads: frozenset[str]


def path_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def name_of(path: Path) -> str:
    """The module at `path`, as in toprung.search.cli."""
    return ".".join(["toprung", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


FILES = [path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))]
MODULES = {name_of(path): path for path in FILES}
ROOMS = {path_id(path.parent) for path in FILES if path.name != "__init__.py" or len(tree_of(path).body) > 1}


def read_map() -> dict[str, Room]:
    """The rows of the table of rooms: | `room` | what it is for | `may`, `import` | loads |."""
    rooms = {}
    for line in MAP.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`[\w/]+`", cells[0]):
            named = frozenset(re.findall(r"`([\w/*]+)`", cells[2]))
            wildcards = frozenset(name.removesuffix("/*") for name in named if name.endswith("/*"))
            exact = frozenset(name for name in named if not name.endswith("/*"))
            rooms[cells[0].strip("`")] = Room(exact, wildcards, frozenset(re.findall(r"`(\w+)`", cells[3])))
    return rooms


ALLOWED = read_map()


def imported(node: ast.AST) -> list[str]:
    """The modules that an import statement names, or names an object of."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute, so that an arrow can be read off the line"
        within = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in MODULES else str(node.module) for name in within]
    return []


@cache
def imports_of(path: Path) -> set[str]:
    return {name for node in ast.walk(tree_of(path)) for name in imported(node)}


def arrows(path: Path) -> Iterator[tuple[str, str]]:
    """(room, imported module) of every import of the project in the file, lazy ones and those for types included."""
    for name in imports_of(path):
        if name.partition(".")[0] == "toprung":
            assert name in MODULES, f"{path_id(path)} imports {name}, which is no module"
            yield path_id(MODULES[name].parent), name


def is_allowed(room: str, other: str) -> bool:
    row = ALLOWED[room]
    inside = any(other == part or other.startswith(f"{part}/") for part in row.wildcards)
    return room == other or other in row.imports or inside


def test_the_map_names_every_room_and_no_other() -> None:
    assert set(ALLOWED) == ROOMS
    for room, row in ALLOWED.items():
        assert row.imports <= ROOMS, f"{room} may import a room that is none"
        assert row.wildcards <= set(PARTS), f"{room}: only a whole top folder has a /*"


@pytest.mark.parametrize("path", FILES, ids=path_id)
def test_imports_are_those_the_map_allows(path: Path) -> None:
    room = path_id(path.parent)
    refused = sorted(name for other, name in arrows(path) if not is_allowed(room, other))
    assert not refused, f"the map does not let {room} import these"
    assert "tests" not in imports_of(path)


def test_the_map_allows_nothing_that_no_module_needs() -> None:
    needed = {(path_id(path.parent), other) for path in FILES for other, _ in arrows(path)}
    listed = {(room, other) for room, row in ALLOWED.items() for other in row.imports}
    assert sorted(listed - needed) == []


def test_the_map_points_downwards() -> None:
    for room, row in ALLOWED.items():
        part = room.partition("/")[0]
        others = {other.partition("/")[0] for other in row.imports} | row.wildcards
        assert others - {part} <= BELOW[part], f"{room} points up"


def test_neither_rooms_nor_modules_import_each_other_in_a_circle() -> None:
    modules = {name: {other for _, other in arrows(path)} for name, path in MODULES.items()}
    rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in FILES:
        if path.name != "__init__.py" or path_id(path.parent) in ROOMS:
            rooms[path_id(path.parent)] |= {other for other, _ in arrows(path)} - {path_id(path.parent)}
    for graph in (modules, rooms):
        graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the circle


@pytest.mark.parametrize("path", [path for path in FILES if "strategy" in path.parts], ids=path_id)
def test_the_strategy_sees_no_file_and_no_clock(path: Path) -> None:
    outside = {name.partition(".")[0] for name in imports_of(path)} & OUTSIDE_WORLD
    assert not outside
    called = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    assert not called & CLOCK
    assert "open" not in {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}


def test_only_the_command_line_prints() -> None:
    printing = {
        path_id(path)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    others = {name for name in printing if not name.startswith(("search/cli.py", "search/commands/"))}
    # The MLflow process speaks to the driver by its standard output; `ray submit` runs the other one as a script.
    assert others == {"results/tracking/mirror.py", "cluster/submit.py"}


@pytest.mark.parametrize("path", FILES, ids=path_id)
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES, "split it: one idea a file"
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    project = {name for _, name in arrows(path)}
    assert len(project) <= MOST_IMPORTS, f"it joins {len(project)} modules: let one of them do part of it"


@pytest.mark.parametrize("path", FILES, ids=path_id)
def test_functions_take_few_parameters(path: Path) -> None:
    long = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            takes = node.args
            names = [given.arg for given in (*takes.posonlyargs, *takes.args, *takes.kwonlyargs)]
            names += [given.arg for given in (takes.vararg, takes.kwarg) if given]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MOST_PARAMETERS:
                long[node.name] = count
    assert not long, "put what travels together into a frozen dataclass"


def test_every_library_that_is_imported_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {room: project["optional-dependencies"][extra] for room, extra in EXTRA_OF_ROOM.items()}
    asked, *optional = (
        {re.split(r"[\[<>=~; ]", line)[0].lower() for line in lines}
        for lines in (project["dependencies"], *extras.values())
    )
    also = dict(zip(extras, optional, strict=True))
    provides = importlib.metadata.packages_distributions()
    for path in FILES:
        names = {name.partition(".")[0] for name in imports_of(path)} - sys.stdlib_module_names - {"toprung"}
        for name in names - {
            "jax",
            "IPython",
        }:  # used where they are: in a notebook, in the place of TensorFlow
            known = {COMES_WITH.get(name, name), *provides.get(name, ())}
            allowed = asked | also.get(path_id(path.parent), set())
            assert {one.lower() for one in known} & allowed, f"{path_id(path)} imports {name}"


def loaded_by(modules: list[str]) -> set[str]:
    """The heavy libraries that a new process has loaded after it has imported `modules`."""
    code = (
        "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    )
    command = [sys.executable, "-P", "-c", code, *modules]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()) & HEAVY


def modules_loading(only: set[str]) -> list[str]:
    """The modules of the rooms that load none of the heavy libraries but these."""
    rooms = {room for room, row in ALLOWED.items() if row.loads <= only}
    return [name for name, path in MODULES.items() if path_id(path.parent) in rooms]


def test_only_the_rooms_that_say_so_load_a_heavy_library() -> None:
    assert len(modules_loading(set())) > 100
    assert loaded_by(modules_loading(set())) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "libraries", [{"ray"}, {"keras", "tensorflow", "jax"}], ids=lambda names: " ".join(sorted(names))
)
def test_the_others_load_what_they_say_and_no_more(libraries: set[str]) -> None:
    assert loaded_by(modules_loading(libraries)) == libraries


def test_what_help_and_the_check_of_a_job_need_loads_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from toprung.spaces.families import registry\n"
        "from toprung.trainables.models import family\n"
        "from toprung.trainables.optimization import recipe\n"
        "from toprung.trainables.backend import engine\n"
        "from toprung.trainables.task import task\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'optuna', 'numpy'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_the_top_level_is_what_the_user_fixed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in listed.splitlines()}
    allowed = {*PARTS, "tests", "pyproject.toml", "README.md", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} <= allowed
