"""The names that a template's expressions can use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from skerry.templates.errors import Fault
from skerry.templates.evaluate import expand, expand_copy
from skerry.templates.frame import Clock, Frame, UserFunction
from skerry.templates.parameters import Lazily, bound, given_values
from skerry.templates.scope import Scope
from skerry.templates.template import Parameter, Template, VariableCopy


class TemplateNames:
    """Parameters and variables of one template for one set of given values; variables are evaluated when used."""

    def __init__(self, template: Template, given: Any, scope: Scope, clock: Clock) -> None:
        self._template = template
        self._scope = scope
        self._clock = clock
        self._given = given_values(template.parameters, given)
        self._parameters = Lazily(
            "parameter", {key: partial(self._bound, item) for key, item in template.parameters.items()}
        )
        self._variables = Lazily("variable", {key: self._variable(*item) for key, item in template.variables.items()})

    def parameter(self, name: str) -> Any:
        return self._parameters[name]

    def variable(self, name: str) -> Any:
        return self._variables[name]

    def function(self, name: str) -> UserFunction | None:
        return self._template.functions.get(name.lower())

    def deployment(self) -> dict[str, Any]:
        """What `deployment()` answers; the values of secure parameters are left out."""
        properties = {
            "template": self._template.raw,
            "parameters": self.parameters_view(),
            "mode": self._scope.deployment_mode,
            "provisioningState": "Accepted",
        }
        return {"name": self._scope.deployment_name, "properties": properties}

    def parameters_view(self) -> dict[str, Any]:
        """The parameters as ARM echoes them: each with its type, and its value unless that is secret."""
        return {
            item.name: {"type": item.type} | ({} if item.secure else {"value": self.parameter(item.name)})
            for item in self._template.parameters.values()
        }

    def resolved_parameters(self) -> dict[str, Any]:
        """All values, defaults and secrets included, in the form of a request."""
        return {item.name: {"value": self.parameter(item.name)} for item in self._template.parameters.values()}

    def _bound(self, parameter: Parameter) -> Any:
        frame = Frame(self._scope, _Defaults(self, self._scope), self._clock, in_defaults=True)
        path = f"{parameter.path}.defaultValue"
        return bound(parameter, self._given, lambda: expand(parameter.fields["defaultvalue"], frame, path))

    def _variable(self, name: str, value: Any, path: str) -> Callable[[], Any]:
        frame = Frame(self._scope, self, self._clock)
        if isinstance(value, VariableCopy):
            return partial(expand_copy, name, value.fields, frame, path)
        return partial(expand, value, frame, path)


class _Defaults:
    """What parameter defaults see: the other parameters and the template's functions, no variables."""

    def __init__(self, names: TemplateNames, scope: Scope) -> None:
        self._names = names
        self._scope = scope

    def parameter(self, name: str) -> Any:
        return self._names.parameter(name)

    def variable(self, name: str) -> Any:
        raise Fault(f"the variable '{name}' cannot be used in the default value of a parameter.")

    def function(self, name: str) -> UserFunction | None:
        return self._names.function(name)

    def deployment(self) -> dict[str, Any]:
        return {"name": self._scope.deployment_name}
