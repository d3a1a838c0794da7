"""A template's sections, checked for shape: what can be known before any value is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skerry.templates.errors import Fault, invalid, misplaced
from skerry.templates.expression import Call, calls, is_expression, parse
from skerry.templates.frame import UserFunction
from skerry.templates.functions import find

# ARM's limits, from "Azure subscription and service limits".
MAX_PARAMETERS = 256
MAX_VARIABLES = 512
MAX_OUTPUTS = 64
MAX_RESOURCES = 800

TYPES = {name.lower(): name for name in ("String", "SecureString", "Int", "Bool", "Object", "SecureObject", "Array")}
_SECTIONS = {
    "$schema", "contentversion", "apiprofile", "languageversion", "metadata", "comments", "definitions", "parameters",
    "functions", "variables", "resources", "outputs",
}  # fmt: skip
_MODES = ("serial", "parallel")
DEPLOYMENTS = "microsoft.resources/deployments"


@dataclass(frozen=True)
class Parameter:
    """`type` as ARM writes it (`SecureString`); `fields` is the definition with its keys in lower case."""

    name: str
    type: str
    fields: Mapping[str, Any]
    path: str

    @property
    def secure(self) -> bool:
        return self.type.startswith("Secure")


@dataclass(frozen=True)
class Output:
    name: str
    type: str
    fields: Mapping[str, Any]
    path: str

    @property
    def secure(self) -> bool:
        return self.type.startswith("Secure")


@dataclass(frozen=True)
class Loop:
    """A resource's `copy`. `count` and `batch` are as written; `batch` is None for parallel."""

    name: str
    count: Any
    batch: Any
    path: str


@dataclass(frozen=True)
class Declaration:
    """One resource as written: `fields` by lower-case key, children nested in it, `symbol` of the object form."""

    fields: Mapping[str, Any]
    body: Mapping[str, Any]
    path: str
    symbol: str | None
    loop: Loop | None
    children: tuple[Declaration, ...]
    asks_state: bool


@dataclass(frozen=True)
class Template:
    raw: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    variables: Mapping[str, tuple[str, Any, str]]
    functions: Mapping[str, UserFunction]
    resources: tuple[Declaration, ...]
    outputs: tuple[Output, ...]


def load_template(raw: Any) -> Template:
    """Check a template's sections. Mappings have lower-case keys; a variable is (name, value or copy, path).

    Raises TemplateError(InvalidTemplate), for an expression that cannot be parsed and for an unknown function too.
    """
    sections = _sections(raw)
    resources = tuple(_declarations(sections.get("resources"), "resources", sections.get("languageversion")))
    template = Template(
        raw,
        _parameters(_object(sections, "parameters", MAX_PARAMETERS)),
        _variables(_object(sections, "variables", MAX_VARIABLES)),
        _functions(sections.get("functions") or []),
        resources,
        _outputs(_object(sections, "outputs", MAX_OUTPUTS)),
    )
    _check_loops(resources)
    _check_expressions(template)
    return template


def _sections(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise invalid("The template is not a JSON object")
    sections = fields_of(raw, "", "template")
    unknown = next((key for key in raw if key.lower() not in _SECTIONS), None)
    if unknown is not None:
        raise invalid(f"Could not find member '{unknown}' on object of type 'Template'", unknown)
    schema = sections.get("$schema")
    if not isinstance(schema, str) or "deploymenttemplate.json" not in schema.lower():
        raise invalid("The template's '$schema' is missing, or is not that of a deploymentTemplate.json", "$schema")
    if "subscriptiondeployment" in schema.lower() or "tenantdeployment" in schema.lower():
        raise invalid("The template's '$schema' is not that of a deployment to a resource group", "$schema")
    if not isinstance(sections.get("contentversion"), str):
        raise invalid("The template's 'contentVersion' is missing or not a string", "contentVersion")
    if not isinstance(sections.get("resources"), list | dict):
        raise invalid("The template's 'resources' are missing", "resources")
    if sections.get("definitions"):
        raise invalid("The template's 'definitions' (user-defined types) are not supported", "definitions")
    return sections


def fields_of(value: Any, path: str, what: str) -> dict[str, Any]:
    """An object by lower-case keys, as ARM reads the keys of its own; null counts as absent."""
    if not isinstance(value, dict):
        raise invalid(f"The {what} in '{path}' is not an object", path)
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key.lower() in result:
            raise invalid(f"The {what} in '{path}' has the property '{key}' twice", path)
        result[key.lower()] = item
    return {key: item for key, item in result.items() if item is not None}


def _object(sections: Mapping[str, Any], name: str, limit: int) -> dict[str, Any]:
    value = sections.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"The template's '{name}' are not an object", name)
    if len(value) > limit:
        raise invalid(f"The number of template {name} limit exceeded. Limit: {limit} and actual: {len(value)}", name)
    return value


def _typed(fields: Mapping[str, Any], path: str) -> str:
    kind = fields.get("type")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        shown = f"'{kind}'" if isinstance(kind, str) else "missing"
        raise invalid(f"The type of '{path}' is {shown}; it must be one of {', '.join(TYPES.values())}", path)
    return TYPES[kind.lower()]


def _parameters(section: Mapping[str, Any]) -> dict[str, Parameter]:
    result: dict[str, Parameter] = {}
    for name, definition in section.items():
        path = f"parameters.{name}"
        fields = fields_of(definition, path, "parameter")
        result[name.lower()] = Parameter(name, _typed(fields, path), fields, path)
    return result


def _variables(section: Mapping[str, Any]) -> dict[str, tuple[str, Any, str]]:
    """Copies among the variables become a variable each, whose value is its Loop."""
    result: dict[str, tuple[str, Any, str]] = {}
    for name, value in section.items():
        if name.lower() != "copy" or not isinstance(value, list):
            result[name.lower()] = (name, value, f"variables.{name}")
            continue
        for index, item in enumerate(value):
            path = f"variables.copy[{index}]"
            fields = fields_of(item, path, "copy")
            if not isinstance(fields.get("name"), str) or fields.keys() != {"name", "count", "input"}:
                raise invalid(f"The copy in '{path}' must be an object with a 'name', a 'count' and an 'input'", path)
            result[fields["name"].lower()] = (fields["name"], VariableCopy(fields), path)
    return result


@dataclass(frozen=True)
class VariableCopy:
    """A variable that is a loop: `name`, `count` and `input` as written."""

    fields: Mapping[str, Any]


def _functions(section: Any) -> dict[str, UserFunction]:
    if not isinstance(section, list):
        raise invalid("The template's 'functions' are not an array", "functions")
    result: dict[str, UserFunction] = {}
    for index, item in enumerate(section):
        path = f"functions[{index}]"
        fields = fields_of(item, path, "namespace of functions")
        members = fields.get("members")
        if not isinstance(fields.get("namespace"), str) or not isinstance(members, dict):
            raise invalid(f"'{path}' must be an object with a 'namespace' and 'members'", path)
        for name, member in members.items():
            full = f"{fields['namespace']}.{name}".lower()
            result[full] = _function(member, f"{path}.members.{name}")
    return result


def _function(member: Any, path: str) -> UserFunction:
    fields = fields_of(member, path, "function")
    output = fields_of(fields.get("output"), f"{path}.output", "output")
    _typed(output, f"{path}.output")
    parameters = fields.get("parameters", [])
    if "value" not in output or not isinstance(parameters, list):
        raise invalid(
            f"The function in '{path}' must have an 'output' with a 'value', and an array of parameters", path
        )
    names = []
    for index, parameter in enumerate(parameters):
        place = f"{path}.parameters[{index}]"
        definition = fields_of(parameter, place, "parameter")
        _typed(definition, place)
        if not isinstance(definition.get("name"), str):
            raise invalid(f"The parameter in '{place}' has no name", place)
        names.append(definition["name"].lower())
    return UserFunction(tuple(names), output["value"], f"{path}.output.value")


def _outputs(section: Mapping[str, Any]) -> tuple[Output, ...]:
    result = []
    for name, definition in section.items():
        path = f"outputs.{name}"
        fields = fields_of(definition, path, "output")
        if ("value" in definition or "value" in fields) == ("copy" in fields):
            raise invalid(f"The template output '{name}' must have either a 'value' or a 'copy'", path)
        result.append(Output(name, _typed(fields, path), fields, path))
    return tuple(result)


def _declarations(section: Any, path: str, language: Any, top: bool = True) -> Iterator[Declaration]:
    """Resources in either form: an array, or with languageVersion 2.0 an object by symbolic name."""
    if isinstance(section, dict):
        if not str(language).startswith("2."):
            raise invalid(f"'{path}' is an object, which takes a languageVersion of '2.0'", path)
        for symbol, item in section.items():
            yield _declaration(item, f"{path}.{symbol}", symbol, language, top)
    elif isinstance(section, list):
        for index, item in enumerate(section):
            yield _declaration(item, f"{path}[{index}]", None, language, top)
    elif section is not None:
        raise invalid(f"'{path}' is neither an array nor an object", path)


def _declaration(item: Any, path: str, symbol: str | None, language: Any, top: bool) -> Declaration:
    fields = fields_of(item, path, "template resource")
    loop = _loop(fields["copy"], f"{path}.copy") if "copy" in fields else None
    if loop and not top:
        raise invalid(f"The template resource in '{path}' is nested in another, where a copy loop is not allowed", path)
    children = tuple(_declarations(fields.get("resources"), f"{path}.resources", language, top=False))
    asks = any("reference" in text.lower() for text, _ in strings(fields.get("properties"), ""))
    return Declaration(fields, item, path, symbol, loop, children, asks)


def _loop(value: Any, path: str) -> Loop:
    fields = fields_of(value, path, "copy loop")
    name, mode = fields.get("name"), fields.get("mode", "parallel")
    if not isinstance(name, str) or not name or "count" not in fields:
        raise invalid(f"The copy loop in '{path}' must have a 'name' and a 'count'", path)
    if not isinstance(mode, str) or mode.lower() not in _MODES:
        raise invalid(f"The mode of the copy loop in '{path}' is neither 'serial' nor 'parallel'", path)
    if fields.keys() - {"name", "count", "mode", "batchsize"}:
        raise invalid(f"The copy loop in '{path}' may have a name, a count, a mode and a batchSize only", path)
    if mode.lower() == "parallel":
        if "batchsize" in fields:
            raise invalid(f"The copy loop in '{path}' has a batchSize, which takes the mode 'serial'", path)
        return Loop(name, fields["count"], None, path)
    return Loop(name, fields["count"], fields.get("batchsize", 1), path)


def _check_loops(resources: tuple[Declaration, ...]) -> None:
    seen: set[str] = set()
    for declaration in resources:
        name = declaration.loop.name if declaration.loop else None
        if name and name.lower() in seen:
            raise invalid(f"The copy name '{name}' is used by more than one resource", declaration.path)
        seen |= {name.lower()} if name else set()


def strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(text, path) of every string in a JSON tree, keys included."""
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key, path
            yield from strings(item, f"{path}.{key}")


def split_inner(properties: Any) -> tuple[Any, dict[str, Any]]:
    """(what the template around evaluates of a deployment's properties, what stays as written).

    The nested template stays as written where `expressionEvaluationOptions.scope` is `inner`.
    """
    if not isinstance(properties, dict) or "template" not in properties:
        return properties, {}
    options = properties.get("expressionEvaluationOptions")
    scope = options.get("scope") if isinstance(options, dict) else None
    if not isinstance(scope, str) or scope.lower() != "inner":
        return properties, {}
    outer = {key: value for key, value in properties.items() if key != "template"}
    return outer, {"template": properties["template"]}


def _check_expressions(template: Template) -> None:
    for text, path in _expressions(template):
        if is_expression(text):
            _check(text, path, template.functions)


def _expressions(template: Template) -> Iterator[tuple[str, str]]:
    for parameter in template.parameters.values():
        yield from strings(parameter.fields.get("defaultvalue"), f"{parameter.path}.defaultValue")
    for _, value, path in template.variables.values():
        yield from strings(value.fields if isinstance(value, VariableCopy) else value, path)
    for function in template.functions.values():
        yield from strings(function.output, function.path)
    for output in template.outputs:
        yield from strings({key: output.fields[key] for key in output.fields if key != "metadata"}, output.path)
    for declaration in template.resources:
        yield from _in_resource(declaration)


def _in_resource(declaration: Declaration) -> Iterator[tuple[str, str]]:
    for key, value in declaration.body.items():
        if key.lower() == "properties":
            yield from strings(split_inner(value)[0], f"{declaration.path}.{key}")
        elif key.lower() not in ("comments", "metadata", "resources"):
            yield from strings(value, f"{declaration.path}.{key}")
    for child in declaration.children:
        yield from _in_resource(child)


def _check(text: str, path: str, functions: Mapping[str, UserFunction]) -> None:
    try:
        for call in calls(parse(text)):
            _check_call(call, functions)
    except Fault as fault:
        raise misplaced(fault, text, path) from None


def _check_call(call: Call, functions: Mapping[str, UserFunction]) -> None:
    if call.name.lower() in functions:
        return
    try:
        found = find(call.name)
    except Fault as fault:
        raise Fault(fault.message, call.offset) from None
    try:
        found.check_count(len(call.arguments))
    except Fault as fault:
        raise Fault(f"The template function '{found.name}' is not valid: {fault.message}", call.offset) from None
