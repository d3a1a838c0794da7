"""Deployments inside a template: which part of them the outer template evaluates.

With `expressionEvaluationOptions.scope` `inner` the nested template stays as written. By default (`outer`) its
expressions see the outer template's parameters and variables; what comes out is escaped, so that evaluating the
nested template again changes nothing. A resource's copy loop inside such a template is refused: its index belongs
to neither template.
"""

from __future__ import annotations

from typing import Any

from skerry.templates.errors import invalid
from skerry.templates.evaluate import evaluate_text, expand
from skerry.templates.expression import escape
from skerry.templates.frame import Frame
from skerry.templates.template import split_inner


def deployment_properties(properties: Any, frame: Frame, path: str) -> Any:
    """The evaluated properties of a `Microsoft.Resources/deployments`. Raises TemplateError."""
    outer, verbatim = split_inner(properties)
    if not isinstance(outer, dict) or "template" not in outer:
        evaluated = expand(outer, frame, path)
        return evaluated | verbatim if isinstance(evaluated, dict) else evaluated
    _refuse_loops(outer["template"], f"{path}.template")
    template = expand(outer["template"], frame, f"{path}.template", _escaped_text)
    rest = expand({key: value for key, value in outer.items() if key != "template"}, frame, path)
    return {**rest, "template": template}


def _escaped_text(text: str, frame: Frame, path: str) -> Any:
    return _escaped(evaluate_text(text, frame, path))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {escape(key): _escaped(item) for key, item in value.items()}
    return value


def _refuse_loops(template: Any, path: str) -> None:
    resources = template.get("resources") if isinstance(template, dict) else None
    for index, resource in enumerate(resources if isinstance(resources, list) else []):
        if isinstance(resource, dict) and isinstance(resource.get("copy"), dict):
            raise invalid(
                "A copy loop in a nested template is supported only where the deployment's "
                "expressionEvaluationOptions.scope is 'inner'",
                f"{path}.resources[{index}].copy",
            )
