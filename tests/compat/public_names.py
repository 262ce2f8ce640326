"""Which private names of Ray and torch the project's files use, and who uses what the two compat files offer."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
ROOMS = ("rl_recsys", "envs", "policies", "algorithms", "jobs")
COMPAT = {"algorithms/common/rllib_compat.py", "policies/torch_compat.py"}
LIBRARIES = ("ray", "torch")
#: Modules of Ray's old stack or about to be emptied, and names that look public and are not meant to be relied on.
OLD_MODULES = ("ray.rllib.policy", "ray.rllib.evaluation", "ray.air", "ray.rllib.execution", "ray.rllib.models")
UNDOCUMENTED = {"experiment_tag", "RAY_AIR_NEW_OUTPUT", "TUNE_GLOBAL_CHECKPOINT_S", "worker_set"}
#: Private names that this project has used of another's objects, whoever else calls something so.
KNOWN_PRIVATE = {
    "_check_component", "_create_iterator_if_necessary", "_is_online", "_iteration", "_learner_connector", "_logdir",
    "_module", "_optimizer_parameters", "_params", "_setup_logdir", "_storage", "_trial_info", "_value_error",
    "_version", "_worker_manager",
}  # fmt: skip
#: RLlib documents these as what a subclass of TorchRLModule overrides (OverrideToImplementCustomLogic).
DOCUMENTED_HOOKS = {"_forward", "_forward_train", "_forward_inference", "_forward_exploration"}


@cache
def project_files() -> dict[str, ast.Module]:
    """Path -> syntax tree of the project's files, the compat files left out."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    parsed = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in files}
    return {path: tree for path, tree in parsed.items() if path not in COMPAT}


def users_of(name: str) -> list[str]:
    """The files that import a name of a compat file."""
    return [
        path
        for path, tree in project_files().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").endswith("_compat")
        and name in {alias.name for alias in node.names}
    ]


def private(name: str) -> bool:
    """Whether a name is private; "_" and "__name__" are not."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def of_libraries(module: str | None) -> bool:
    """Whether a module is Ray's or torch's."""
    return (module or "").split(".")[0] in LIBRARIES


def private_imports(tree: ast.Module) -> Iterator[str]:
    """Private or old-stack modules and names of Ray and torch that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if of_libraries(alias.name)]
        elif isinstance(node, ast.ImportFrom) and of_libraries(node.module):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            if any(map(private, name.split("."))) or any(f"{name}.".startswith(f"{old}.") for old in OLD_MODULES):
                yield f"line {node.lineno}: {name}"


def private_attributes(tree: ast.Module) -> Iterator[str]:
    """Private attributes of another object that the project does not define, and undocumented names."""
    own = project_names() - KNOWN_PRIVATE
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            of_torch = isinstance(node.value, ast.Name) and node.value.id == "torch" and node.attr == "ops"
            if of_torch or node.attr in UNDOCUMENTED or (private(node.attr) and not of_itself and node.attr not in own):
                yield f"line {node.lineno}: .{node.attr}"
        elif isinstance(node, ast.keyword) and (node.arg in UNDOCUMENTED or private(node.arg or "")):
            yield f"line {node.value.lineno}: {node.arg}="
        elif isinstance(node, ast.Constant) and node.value in UNDOCUMENTED:
            yield f"line {node.lineno}: {node.value!r}"


@cache
def project_names() -> frozenset[str]:
    """What the project's files define: functions, classes, attributes."""
    found = {"_exit"}  # of os
    for tree in project_files().values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
    return frozenset(found)


def modules() -> Iterator[ModuleType]:
    """The modules of the rooms with RLlib or torch in them."""
    for room in ("envs", "policies", "algorithms"):
        package = importlib.import_module(room)
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            yield importlib.import_module(found.name)


def subclasses() -> list[type]:
    """The project's classes with a base of Ray or torch, those of the compat files left out."""
    found = [
        each
        for module in modules()
        if f"{module.__name__.replace('.', '/')}.py" not in COMPAT
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__ and foreign_bases(each)
    ]
    return sorted(found, key=lambda each: each.__qualname__)


def foreign_bases(kind: type) -> list[type]:
    """The classes of Ray and torch that a class has among its bases."""
    return [base for base in kind.__mro__ if of_libraries(base.__module__)]


@cache
def private_names(base: type) -> frozenset[str]:
    """The private methods of a class, and the private attributes that its methods set."""
    names = set(filter(private, vars(base))) - {"_abc_impl"}  # every class of abc has its own
    for node in ast.walk(_syntax(base)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and private(node.attr):
            names.add(node.attr)
    return frozenset(names)


def used_on_itself(kind: type) -> set[str]:
    """The private names that a class reads or sets on itself, or defines."""
    tree = _syntax(kind)
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
            or (isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "super")
        )
    }
    return set(filter(private, names))


def _syntax(kind: type) -> ast.Module:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):  # made at run time, or in C
        return ast.Module(body=[], type_ignores=[])
