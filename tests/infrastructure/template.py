"""template.yaml as CloudFormation would see it: parameters filled in, functions resolved.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from awscli.customizations.cloudformation.yamlhelper import (  # type: ignore[import-untyped]
    yaml_parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT: Final = Path(__file__).parents[2]
SOURCE: Final = (PROJECT / "template.yaml").read_text()
PSEUDO: Final = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
}
NO_VALUE: Final = object()
REQUIRED: Final = {"CodeBucket": "code"}
"""The parameters without a default, and what they are where a test does not say."""
OPERATIONS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "Join": lambda values: values[0].join(values[1]),
    "Split": lambda values: values[1].split(values[0]),
    "Select": lambda values: values[1][int(values[0])],
    "Equals": lambda values: values[0] == values[1],
    "Not": lambda values: not values[0],
    "And": all,
    "Or": any,
    "Contains": lambda values: values[1] in values[0],
}
"""The functions that need nothing but their arguments."""


def read_template(source: str = SOURCE) -> dict[str, Any]:
    """Return the template with every function in its long form."""
    document = yaml_parse(source)
    assert isinstance(document, dict)
    return document


@dataclass(frozen=True, slots=True)
class Stack:
    """The template with parameters; those that are not given have their defaults."""

    template: dict[str, Any]
    given: dict[str, str]

    def resource(self, name: str) -> dict[str, Any] | None:
        """Return a resource's properties, None where its condition does not hold."""
        resource = self.template["Resources"][name]
        if "Condition" in resource and not self.holds(resource["Condition"]):
            return None
        properties = self.resolve(resource["Properties"])
        assert isinstance(properties, dict)
        return properties

    def resource_names(self) -> set[str]:
        """Return the names of the resources that are created."""
        return {name for name in self.template["Resources"] if self.resource(name) is not None}

    def statements(self) -> list[dict[str, Any]]:
        """Return the statements of the role's policy."""
        role = self.resource("Role")
        assert role
        (policy,) = role["Policies"]
        found = policy["PolicyDocument"]["Statement"]
        assert isinstance(found, list)
        return found

    def output(self, name: str) -> str:
        """Return an output's value."""
        return str(self.resolve(self.template["Outputs"][name]["Value"]))

    def broken_rules(self) -> list[str]:
        """Return what CloudFormation would complain of before it creates anything."""
        return [
            assertion["AssertDescription"]
            for rule in self.template["Rules"].values()
            if self.resolve(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def holds(self, condition: str) -> bool:
        """Return whether a condition of the template holds."""
        return bool(self.resolve(self.template["Conditions"][condition]))

    def parameter(self, name: str) -> str | list[str]:
        """Return a parameter's value, as text or as a list of texts."""
        declared = self.template["Parameters"][name]
        value = self.given.get(name, str(declared.get("Default", REQUIRED.get(name))))
        return value.split(",") if declared["Type"] == "CommaDelimitedList" else value

    def resolve(self, node: Any) -> Any:  # noqa: ANN401 - any part of a YAML document
        """Return a part of the template with its functions resolved."""
        if isinstance(node, list):
            return [each for each in map(self.resolve, node) if each is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, value), *_ = node.items()
            if name == "Condition" and isinstance(value, str):
                return self.holds(value)
            if name == "Ref" or name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), value)
        resolved = {name: self.resolve(value) for name, value in node.items()}
        return {name: value for name, value in resolved.items() if value is not NO_VALUE}

    def _function(self, name: str, value: Any) -> Any:  # noqa: ANN401
        if name == "Ref":
            return self._ref(value)
        if name == "GetAtt":
            return self._attribute(*value)
        if name == "If":
            return self.resolve(value[1] if self.holds(value[0]) else value[2])
        if name == "Sub":
            return self._sub(value)
        if name == "FindInMap":
            mapping, first, second = self.resolve(value)
            return self.template["Mappings"][mapping][first][second]
        return OPERATIONS[name](self.resolve(value))

    def _ref(self, name: str) -> Any:  # noqa: ANN401
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        return self.parameter(name) if name in self.template["Parameters"] else f"<{name}>"

    def _attribute(self, resource: str, attribute: str) -> str:
        if (resource, attribute) == ("RunTable", "Arn"):
            place = ":".join((PSEUDO["AWS::Region"], PSEUDO["AWS::AccountId"]))
            return f"arn:aws:dynamodb:{place}:table/{self.parameter('RunTableName')}"
        return f"<{resource}.{attribute}>"

    def _sub(self, value: Any) -> str:  # noqa: ANN401
        text, names = value if isinstance(value, list) else (value, {})
        return re.sub(
            r"\$\{([^}!]+)\}",
            lambda each: str(
                self.resolve(names[each[1]]) if each[1] in names else self._ref(each[1])
            ),
            text,
        )


def stack(**given: str) -> Stack:
    """Return the stack of the project's template with these parameters."""
    return Stack(template=read_template(), given=given)
