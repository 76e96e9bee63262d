"""Policies of users: classes in a Python file, ``FILE.py:CLASS[k=v,...]``."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from sim.domain import WorkerKind
from sim.errors import ScenarioError
from sim.files.inputs import read_bytes
from sim.policies.base import BasePolicy
from sim.settings import NAME, describe, parameters

_PREFIX = "policies_of_file_"  # of the names of modules, which go on with a hash of path and content


def load_policies(file: Path) -> dict[str, type[BasePolicy]]:
    """The policies that a file defines, by the names of their classes.

    The file is run once for each content. Raises ScenarioError, with the line, when it can't be; and for a class that
    can't be a policy.
    """
    code = read_bytes(file)
    path = str(file.resolve())
    name = _PREFIX + hashlib.sha256(path.encode() + b"\0" + code).hexdigest()[:16]
    if name not in sys.modules:
        module = ModuleType(name)
        module.__file__ = path
        sys.modules[name] = module  # dataclasses look there for the types of fields
        try:
            exec(compile(code, path, "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
            line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
            where = f"{file}, line {line}" if line else str(file)
            raise ScenarioError(f"{where}: can't be run ({type(error).__name__}: {error})") from None
    found = {
        key: value
        for key, value in vars(sys.modules[name]).items()
        if isinstance(value, type) and issubclass(value, BasePolicy) and value.__module__ == name
    }
    for key, policy in found.items():
        if rule := _broken_rule(policy):
            raise ScenarioError(f"{file}: the class {key} must {rule}, as every policy")
    if not found:
        raise ScenarioError(f"{file}: has no policy, which is a subclass of sim.policies.base.BasePolicy")
    return found


def _broken_rule(policy: type[BasePolicy]) -> str | None:
    """What a class must be or have to be a policy, and hasn't. The name becomes a part of the names of directories."""
    name = getattr(policy, "name", None)
    if not dataclasses.is_dataclass(policy) or not isinstance(name, str) or not NAME.fullmatch(name):
        return "be a dataclass with a name of letters, digits, _ and -"
    workers = policy.workers
    if not isinstance(workers, tuple) or {type(kind) for kind in workers} != {WorkerKind}:
        return "have a tuple of sim.domain.WorkerKind as its workers"
    if policy.describe is not BasePolicy.describe:
        return "describe itself by its name and parameters, as BasePolicy does"
    try:
        kinds = {kind for kind, _ in parameters(policy).values()}
    except (NameError, TypeError, SyntaxError):  # of a type in quotes
        kinds = {object}
    words = {kind for kind in kinds if isinstance(kind, tuple) and all(map(_is_word, kind))}
    return None if kinds - words <= {int, float} else "have parameters of the types int, float and Literal[words] alone"


def _is_word(choice: object) -> bool:
    """Whether a parameter can be this: it is typed between brackets, and becomes a part of names of directories."""
    return isinstance(choice, str) and bool(NAME.fullmatch(choice))


def file_of(policy: BasePolicy) -> Path | None:
    """The file of a user that the policy is from; None for one of ours."""
    module = type(policy).__module__
    return Path(str(sys.modules[module].__file__)) if module.startswith(_PREFIX) else None


def spell(policy: BasePolicy) -> str:
    """What ``make_policy`` makes this policy from, wherever it is read."""
    file = file_of(policy)
    return policy.describe() if file is None else describe(f"{file}:{type(policy).__name__}", policy)
