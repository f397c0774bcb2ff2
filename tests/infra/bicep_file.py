"""Reads Bicep files through tree-sitter, as far as the tests of infra/ ask."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

CHECKOUT = Path(__file__).parents[2]
INFRA = CHECKOUT / "infra"

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))

BUILT_IN = {"subscription", "resourceGroup", "environment"}
"""Functions that the files call on a name of their own; everything else that is called is in FUNCTIONS."""

FUNCTIONS = BUILT_IN | {
    *(
        "empty",
        "guid",
        "listKeys",
        "loadJsonContent",
        "loadTextContent",
        "newGuid",
        "resourceId",
        "string",
        "subscriptionResourceId",
    ),
    *("toLower", "union", "uniqueString"),
    *("description", "minLength", "maxLength", "minValue", "maxValue", "allowed", "secure"),
}


class BicepFile:
    """One file's declarations."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.read_bytes()
        self.root = _PARSER.parse(self.source).root_node

    @property
    def faults(self) -> list[str]:
        """Where the parser could not follow."""
        return [
            f"{self.path.name}:{node.start_point[0] + 1}: {text(node)[:60]!r}"
            for node in walk(self.root)
            if node.type == "ERROR" or node.is_missing
        ]

    @cached_property
    def parameters(self) -> dict[str, bool]:
        """Name of each parameter, and whether it must be given."""
        return {
            text(node.named_children[0]): len(node.named_children) == 2
            for node in self._declared("parameter_declaration")
        }

    @cached_property
    def undescribed_parameters(self) -> list[str]:
        """Parameters without a `@description`."""
        described = set()
        for node in self._declared("decorators"):
            if b"description(" in (node.text or b"") and node.next_named_sibling is not None:
                described.add(text(node.next_named_sibling.named_children[0]))
        return [name for name in self.parameters if name not in described]

    @cached_property
    def variables(self) -> dict[str, tree_sitter.Node]:
        """Each variable's value."""
        return self._values("variable_declaration")

    @cached_property
    def outputs(self) -> set[str]:
        """Names of the outputs."""
        return {text(node.named_children[0]) for node in self._declared("output_declaration")}

    @cached_property
    def modules(self) -> dict[str, tuple[str, dict[str, tree_sitter.Node]]]:
        """Each module's path and the parameters that it is given."""
        found = {}
        for node in self._declared("module_declaration"):
            name, path, *_ = node.named_children
            body = next(child for child in walk(node) if child.type == "object")
            found[text(name)] = (string(path), properties(properties(body)["params"]))
        return found

    @cached_property
    def resources(self) -> dict[str, str]:
        """Each resource's symbol and type with version, nested ones too."""
        return {
            text(node.named_children[0]): string(node.named_children[1])
            for node in walk(self.root)
            if node.type == "resource_declaration"
        }

    @cached_property
    def undeclared_names(self) -> set[str]:
        """Names that are used and neither declared here nor functions of Bicep."""
        loops = {
            text(name)
            for node in walk(self.root)
            if node.type == "for_statement"
            for name in walk(node.named_children[0])
            if name.type in {"identifier", "loop_variable", "loop_enumerator"}
        }
        known = {*self.parameters, *self.variables, *self.modules, *self.resources, *loops, *FUNCTIONS}
        return {
            text(node)
            for node in walk(self.root)
            if node.type == "identifier" and not _names_something(node) and text(node) not in known
        }

    @cached_property
    def unused_names(self) -> set[str]:
        """Parameters, variables and existing resources that nothing refers to."""
        used = {
            text(node) for node in walk(self.root) if node.type == "identifier" and not _names_something(node)
        }
        existing = {
            text(node.named_children[0])
            for node in walk(self.root)
            if node.type == "resource_declaration"
            and any(child.type == "existing" for child in node.children)
        }
        via_parent = set(re.findall(r"::(\w+)", self.source.decode()))
        return {*self.parameters, *self.variables, *existing} - used - via_parent

    def _declared(self, kind: str) -> list[tree_sitter.Node]:
        return [node for node in self.root.named_children if node.type == kind]

    def _values(self, kind: str) -> dict[str, tree_sitter.Node]:
        return {text(node.named_children[0]): node.named_children[-1] for node in self._declared(kind)}


def all_files() -> list[BicepFile]:
    """Every Bicep file of the checkout."""
    return [BicepFile(path) for path in sorted(INFRA.rglob("*.bicep"))]


def walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """A node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: tree_sitter.Node) -> str:
    """A node's source."""
    return (node.text or b"").decode()


def string(node: tree_sitter.Node) -> str:
    """A string literal's content; interpolations stay as `${…}`."""
    return text(node)[1:-1]


def properties(node: tree_sitter.Node) -> dict[str, tree_sitter.Node]:
    """An object's properties; of `name: union({…}, x)`, the first object's."""
    body = node if node.type == "object" else next(child for child in walk(node) if child.type == "object")
    return {
        text(entry.named_children[0]).strip("'"): entry.named_children[-1]
        for entry in body.named_children
        if entry.type == "object_property" and entry.named_children[0].type != "resource_declaration"
    }


def strings(node: tree_sitter.Node) -> list[str]:
    """Every string literal below a node."""
    return [string(child) for child in walk(node) if child.type == "string"]


def _names_something(node: tree_sitter.Node) -> bool:
    """Whether an identifier declares or labels, rather than refers."""
    parent = node.parent
    if parent is None or parent.type in {"type", "primitive_type"}:
        return True
    first = parent.named_children[0] == node
    if parent.type == "object_property":
        return first
    return first and parent.type.endswith("_declaration")
