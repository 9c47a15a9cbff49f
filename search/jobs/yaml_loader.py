"""YAML as a job file may hold it: plain values of bounded size, and no key twice."""

from __future__ import annotations

from typing import Any

import yaml

from toprung.spaces.errors import first_line

MAX_BYTES = 2**20
MAX_VALUES = 20_000
"""Values of a text, about as many as PyYAML reads in a second; those behind an alias are counted at each place, since a
few lines may stand for billions."""

MAX_FLOW_LEVELS = 100
"""Brackets within brackets: the time that PyYAML takes grows with the square of their number."""

MAX_BITS = 64
_MERGE = "tag:yaml.org,2002:merge"


class UnreadableYamlError(ValueError):
    """The text is no YAML that a job can be; `position` is `:line:column`, empty where it is not known."""

    def __init__(self, message: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(message)
        self.position = f":{mark.line + 1}:{mark.column + 1}" if mark else ""

    @classmethod
    def of(cls, error: Exception) -> UnreadableYamlError:
        """The error for whatever was raised while the text was read."""
        return cls(first_line(getattr(error, "problem", None) or error), getattr(error, "problem_mark", None))


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error, as is a value that takes more room than a job has use for.

    Plain YAML takes the last one of two equal keys silently.
    """

    templates: frozenset[str] = frozenset()
    """The keys at the top of the text that hold what a `<<` merges elsewhere, once the text is read."""

    _written_values = 0

    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:  # noqa: N803
        """As the base class, for brackets that are not nested too deeply. Raises UnreadableYamlError."""
        if self.flow_level >= MAX_FLOW_LEVELS:
            raise UnreadableYamlError("values are nested too deeply", self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As the base class, for values of which there are not too many. Raises UnreadableYamlError."""
        self._written_values += 1
        if self._written_values > MAX_VALUES:
            raise UnreadableYamlError(f"holds more than {MAX_VALUES:,} values", self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def get_single_node(self) -> yaml.Node | None:
        """The text as nodes, of which there are not too many. Raises UnreadableYamlError."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _count(node, {}, set())
            self.templates = _templates(node)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As the base class; whatever Python's own types raise for a value names its place."""
        try:
            value = super().construct_object(node, deep=deep)  # type: ignore[no-untyped-call]
        except (yaml.YAMLError, UnreadableYamlError, RecursionError, MemoryError):
            raise
        except Exception as error:  # of int, float, datetime and base64
            kind = node.tag.rpartition(":")[2]
            raise UnreadableYamlError(f"no {kind} ({first_line(error)})", node.start_mark) from None
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            given = f"a whole number of {value.bit_length():,} bits"
            raise UnreadableYamlError(f"{given}, and {MAX_BITS} is the most", node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base class, which merges `<<` keys; raises where one key is written twice."""
        if not isinstance(node, yaml.MappingNode):
            raise UnreadableYamlError("a mapping was expected", node.start_mark)
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            try:
                is_repeated = key in seen
                seen.add(key)
            except TypeError:
                raise UnreadableYamlError("a key must be a text", key_node.start_mark) from None
            if is_repeated:
                raise UnreadableYamlError(f"the key {key!r} is given twice", key_node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _count(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """The number of values below a node, each alias counted as what it stands for.

    Raises:
        UnreadableYamlError: There are more than MAX_VALUES, or a value holds itself.
    """
    if id(node) in open_nodes:
        raise UnreadableYamlError("a value holds itself", node.start_mark)
    if id(node) in known:
        return known[id(node)]
    open_nodes.add(id(node))
    count = 1
    for child in _children(node):
        count += _count(child, known, open_nodes)
        if count > MAX_VALUES:
            raise UnreadableYamlError(f"holds more than {MAX_VALUES:,} values", node.start_mark)
    open_nodes.remove(id(node))
    known[id(node)] = count
    return count


def _templates(root: yaml.Node) -> frozenset[str]:
    merged: set[int] = set()
    seen: set[int] = set()
    to_visit = [root]
    while to_visit:
        node = to_visit.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        to_visit += _children(node)
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        for key, value in pairs:
            if key.tag == _MERGE:
                merged |= {id(value), *map(id, _children(value))}
    top = root.value if isinstance(root, yaml.MappingNode) else ()
    return frozenset(str(key.value) for key, value in top if id(value) in merged)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
