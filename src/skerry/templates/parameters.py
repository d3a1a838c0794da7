"""A template's parameters: which values they get, and whether those are allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from skerry.templates.errors import Fault, TemplateError, invalid
from skerry.templates.template import Parameter, fields_of
from skerry.templates.values import is_integer, kind, same

_KINDS = {"String": "String", "SecureString": "String", "Int": "Integer", "Bool": "Boolean", "Array": "Array"}
_KINDS |= {"Object": "Object", "SecureObject": "Object"}
_USAGE = "Please see https://aka.ms/arm-create-parameter-file for usage details."


def kind_of_type(declared: str) -> str:
    """The JSON type that values of a declared type have."""
    return _KINDS[declared]


def given_values(definitions: Mapping[str, Parameter], given: Any) -> dict[str, Any]:
    """The values of a request's `{"name": {"value": …}}`, by lower-case name; null counts as not given.

    Raises TemplateError(InvalidTemplate) for a name that the template lacks, or a form that is not supported.
    """
    if not isinstance(given, dict):
        raise invalid("The deployment's 'parameters' are not an object", "parameters")
    unknown = [name for name in given if name.lower() not in definitions]
    if unknown:
        supported = ", ".join(parameter.name for parameter in definitions.values())
        raise invalid(
            f"The template parameters '{', '.join(unknown)}' in the parameters file are not valid; they are not "
            "present in the original template and can therefore not be provided at deployment time. The only supported "
            f"parameters for this template are '{supported}'. Please see https://aka.ms/arm-pass-parameter-values for "
            "usage details",
            "parameters",
        )
    values = {name.lower(): _given(name, item) for name, item in given.items()}
    return {name: value for name, value in values.items() if value is not None}


def _given(name: str, item: Any) -> Any:
    path = f"parameters.{name}"
    fields = fields_of(item, path, "parameter value")
    if "reference" in fields:
        message = f"The parameter '{name}' refers to a key vault, which is not supported: give its value instead."
        raise TemplateError("KeyVaultParameterReferenceNotSupported", message, path)
    if fields.keys() - {"value", "metadata"}:
        raise invalid(f"The value of the template parameter '{name}' must be an object with a 'value'", path)
    return fields.get("value")


def bound(parameter: Parameter, given: Mapping[str, Any], default: Callable[[], Any]) -> Any:
    """The parameter's checked value: the one given, else its default. Raises TemplateError(InvalidTemplate)."""
    value = given.get(parameter.name.lower())
    if value is None and "defaultvalue" in parameter.fields:
        value = default()
    if value is None:
        if parameter.fields.get("nullable") is True:
            return None
        raise invalid(
            f"The value for the template parameter '{parameter.name}' is not provided. {_USAGE}", parameter.path
        )
    value = _coerced(parameter, value)
    _check_allowed(parameter, value)
    _check_limits(parameter, value)
    return value


def _coerced(parameter: Parameter, value: Any) -> Any:
    """Integers and booleans may come as strings; nothing else is converted."""
    wanted = kind_of_type(parameter.type)
    if wanted == "Integer" and isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return int(value)
    if wanted == "Boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind(value) != wanted:
        raise _not_valid(
            parameter, f"Template parameter JToken type is not valid. Expected '{wanted}'. Actual '{kind(value)}'"
        )
    return value


def _not_valid(parameter: Parameter, reason: str) -> TemplateError:
    name = parameter.name
    return invalid(
        f"The provided value for the template parameter '{name}' is not valid. {reason}. {_USAGE}", parameter.path
    )


def _check_allowed(parameter: Parameter, value: Any) -> None:
    """An array may hold any of the allowed values; strings are compared without case."""
    allowed = parameter.fields.get("allowedvalues")
    if allowed is None:
        return
    if not isinstance(allowed, list):
        raise invalid(
            f"The allowedValues of the template parameter '{parameter.name}' are not an array", parameter.path
        )
    if any(_alike(item, value) for item in allowed):
        return
    if isinstance(value, list) and all(any(_alike(item, element) for item in allowed) for element in value):
        return
    raise _not_valid(parameter, "The parameter value is not part of the allowed value(s)")


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    return same(left, right)


def _check_limits(parameter: Parameter, value: Any) -> None:
    if isinstance(value, str | list):
        _check_bounds(parameter, len(value), "Length", "minlength", "maxlength")
    elif is_integer(value):
        _check_bounds(parameter, value, "Value", "minvalue", "maxvalue")


def _check_bounds(parameter: Parameter, actual: int, what: str, low: str, high: str) -> None:
    least, most = parameter.fields.get(low), parameter.fields.get(high)
    if any(bound is not None and not is_integer(bound) for bound in (least, most)):
        raise invalid(f"A limit of the template parameter '{parameter.name}' is not an integer", parameter.path)
    if is_integer(least) and actual < least:
        raise _not_valid(parameter, f"{what} of the value should be greater than or equal to '{least}'")
    if is_integer(most) and actual > most:
        raise _not_valid(parameter, f"{what} of the value should be less than or equal to '{most}'")


class Lazily:
    """Values computed when first asked for, each once. Raises Fault for an unknown name and for a circle."""

    def __init__(self, what: str, compute: Mapping[str, Callable[[], Any]]) -> None:
        self._what = what
        self._compute = compute
        self._known: dict[str, Any] = {}
        self._running: list[str] = []

    def __getitem__(self, name: str) -> Any:
        key = name.lower()
        if key not in self._known:
            self._known[key] = self._computed(key, name)
        return self._known[key]

    def _computed(self, key: str, name: str) -> Any:
        if key not in self._compute:
            raise Fault(f"the template {self._what} '{name}' is not found.")
        if key in self._running:
            circle = " → ".join([*self._running[self._running.index(key) :], key])
            raise Fault(f"circular dependency detected in template language expression: {circle}.")
        self._running.append(key)
        try:
            return self._compute[key]()
        finally:
            self._running.pop()
