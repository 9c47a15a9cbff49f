"""When a parameter of a define-by-run space exists: conditions on other parameters, found from random walks."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.introspection import SAMPLES, RecordingTrial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from optuna.distributions import BaseDistribution

    Values = Mapping[str, Any]

UNKNOWN = "unknown"
"""The text of a condition that the walks do not show."""
MOST_TERMS = 3
_COMPARED = {ast.Eq: "==", ast.In: "in", ast.GtE: ">=", ast.LtE: "<="}


@dataclass(frozen=True)
class Walk:
    """One random walk through a space: the parameters it suggested, and the configuration it returned."""

    params: Values
    config: Values


@dataclass(frozen=True)
class Term:
    """One comparison of a condition: the parameter, `==`, `in`, `>=` or `<=`, and what it is compared with."""

    name: str
    comparison: str
    value: Any

    def holds(self, params: Values) -> bool:
        """Whether it holds; not where the parameter is missing."""
        if self.name not in params:
            return False
        given = params[self.name]
        match self.comparison:
            case "==":
                return bool(given == self.value)
            case "in":
                return given in self.value
            case ">=":
                return bool(given >= self.value)
        return bool(given <= self.value)

    def __str__(self) -> str:
        return f"{self.name} {self.comparison} {self.value!r}"


@dataclass(frozen=True)
class Condition:
    """Comparisons that all hold where a parameter exists; none for a parameter that always does.

    Its text, as in `optimizer == 'sgd' and blocks >= 2`, is that of the table `space`; `parse` reads it back.
    """

    terms: tuple[Term, ...] = ()

    def holds(self, params: Values) -> bool:
        """Whether the parameter exists beside these ones."""
        return all(term.holds(params) for term in self.terms)

    def __str__(self) -> str:
        return " and ".join(map(str, self.terms))

    @classmethod
    def parse(cls, text: str | None) -> Condition:
        """The condition of a text; the one that always holds for none, and for `unknown`."""
        if not text or text == UNKNOWN:
            return cls()
        tree = ast.parse(text, mode="eval").body
        parts = tree.values if isinstance(tree, ast.BoolOp) else [tree]
        return cls(tuple(_term_of(part) for part in parts))


def walks_through(
    space: Callable[[Any], Values], seed: int = 0
) -> tuple[list[Walk], dict[str, BaseDistribution]]:
    """Random walks through a space, and the distribution of each parameter that they suggest, as `describe` has it."""
    rng, seen, walks = random.Random(seed), dict[str, Any](), list[Walk]()
    for _ in range(SAMPLES):
        trial = RecordingTrial(rng, seen)
        config = space(trial)
        walks.append(Walk(dict(trial.params), config))
    return walks, seen


def condition_of(name: str, walks: Sequence[Values]) -> Condition | None:
    """When a parameter exists, by the parameters of random walks; None where no few comparisons tell.

    Each comparison is one that holds in every walk that has the parameter, and is false in the most of those left that
    have not.
    """
    present = [params for params in walks if name in params]
    absent = [params for params in walks if name not in params]
    others = (
        [other for other in present[0] if other != name and all(other in one for one in present)]
        if present
        else []
    )
    terms: list[Term] = []
    while absent and len(terms) < MOST_TERMS:
        found = [term for other in others if (term := _separating(other, present, absent))]
        best = min(found, key=lambda term: sum(term.holds(one) for one in absent), default=None)
        if best is None:
            return None
        terms.append(best)
        absent = [one for one in absent if best.holds(one)]
    return None if absent else Condition(tuple(terms))


def _separating(other: str, present: Sequence[Values], absent: Sequence[Values]) -> Term | None:
    """A comparison of `other` that holds in all of `present` and not in all of `absent`; None without one."""
    having = _distinct(one[other] for one in present)
    lacking = [
        value for value in _distinct(one[other] for one in absent if other in one) if value not in having
    ]
    are_numbers = all(type(value) in (int, float) for value in (*having, *lacking))
    if are_numbers:
        if lacking and min(having) > max(lacking):
            return Term(other, ">=", min(having))
        if lacking and max(having) < min(lacking):
            return Term(other, "<=", max(having))
        if any(type(value) is float for value in having) and len(having) > MOST_TERMS:
            return None  # the values of a walk say nothing of those between them
    if not lacking and all(other in one for one in absent):
        return None
    return Term(other, "==", having[0]) if len(having) == 1 else Term(other, "in", having)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """The values without repetitions; 1, 1.0 and True are three."""
    found = {(type(value), value): value for value in values}
    return sorted(found.values(), key=lambda value: (str(type(value)), value if value is not None else 0))


def _term_of(node: ast.expr) -> Term:
    if not (isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and len(node.ops) == 1):
        raise ValueError(f"no comparison: {ast.unparse(node)}")
    return Term(node.left.id, _COMPARED[type(node.ops[0])], ast.literal_eval(node.comparators[0]))
