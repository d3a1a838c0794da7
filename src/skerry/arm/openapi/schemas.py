"""JSON Schemas of the wire Structs, in three forms.

    Name       an answer: nothing that is absent is shown as null
    NameBody   the body of a PUT or POST: null means absent, numbers and booleans may come as strings
    NamePatch  the body of a PATCH: the same with nothing required, but for the items of lists, which are put whole

All say what `arm/body.py` does, for both read the same Structs; two things JSON Schema has no word for: names and
enumerated values match without regard to case.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Schema = dict[str, Any]
Form = Literal["", "Body", "Patch"]
_NULL: Schema = {"type": "null"}
REF = "#/components/schemas/"
# What a member that Skerry doesn't have may hold: it asks for nothing, and shows nothing.
_EMPTY_BODY: Schema = {"enum": [None, "", [], {}]}
_EMPTY_ANSWER: Schema = {"type": "array", "maxItems": 0}


class Schemas:
    """The schemas of some types. `components` grows with what is asked for."""

    def __init__(self, types: Iterable[Any]) -> None:
        known = list(dict.fromkeys(types))
        references, self._plain = msgspec.json.schema_components(known, ref_template=REF + "{name}")
        self._references = dict(zip(known, references, strict=True))
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any, form: Form = "") -> Schema:
        """The schema of a type: a reference, or the schema itself for what has no name."""
        return self._transform(self._references[kind], form)

    def resource(self, kind: Any) -> Schema:
        """The schema of a resource's answer, which always has the envelope."""
        schema = self.of(kind)
        component = self.components[schema["$ref"].removeprefix(REF)]
        component["required"] = sorted({*component.get("required", ()), "id", "name", "type"})
        return schema

    def _component(self, name: str, form: Form) -> Schema:
        if name + form not in self.components:
            self.components[name + form] = {}  # the name is taken: types refer to themselves
            self.components[name + form] = self._transform(self._plain[name], form)
        return {"$ref": f"{REF}{name}{form}"}

    def _transform(self, schema: Schema, form: Form) -> Schema:
        if "$ref" in schema:
            return self._component(schema["$ref"].removeprefix(REF), form)
        found = {key: value for key, value in schema.items() if key not in ("default", "title")}
        if "anyOf" in found:
            options = found.pop("anyOf")
            found = _joined(found, [o for o in options if o != _NULL] if form else options)
            return self._transform(found, form) if "anyOf" not in found else self._options(found, form)
        if "allOf" in found:
            return {**found, "allOf": [self._transform(part, form) for part in found["allOf"]]}
        if "properties" in found:
            return self._object(found, form)
        if "items" in found:
            found["items"] = _nullable(self._transform(found["items"], "Body" if form else ""), form)
        if isinstance(found.get("additionalProperties"), dict):
            found["additionalProperties"] = _nullable(self._transform(found["additionalProperties"], form), form)
        if "pattern" in found:
            found["pattern"] = found["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
        return _from_text(found) if form else found

    def _options(self, schema: Schema, form: Form) -> Schema:
        return {**schema, "anyOf": [self._transform(option, form) for option in schema["anyOf"]]}

    def _object(self, schema: Schema, form: Form) -> Schema:
        shows_null = schema.get("additionalProperties") is not False  # else it is a wire Struct, which leaves it out
        required = [] if form == "Patch" else schema.get("required", [])
        properties = {
            name: _nullable(self._transform(value if shows_null else _without_null(value), form), form)
            if name not in required
            else self._transform(value, form)
            for name, value in schema["properties"].items()
        }
        found = {**schema, "properties": properties}
        found.pop("required", None)
        if required:
            found["required"] = required
        if schema.get("additionalProperties") is False:
            found["additionalProperties"] = _EMPTY_BODY if form else _EMPTY_ANSWER
        return found


def _joined(schema: Schema, options: list[Schema]) -> Schema:
    """A schema with its one option merged in, or with the several that are left."""
    if len(options) > 1:
        return {**schema, "anyOf": options}
    option = options[0]
    return {**schema, "allOf": [option]} if "$ref" in option and schema else {**option, **schema}


def _without_null(schema: Schema) -> Schema:
    if "anyOf" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return _joined(rest, [option for option in schema["anyOf"] if option != _NULL])


def _nullable(schema: Schema, form: Form) -> Schema:
    """In a body null means absent."""
    if not form or not schema:
        return schema
    flags: Schema = {key: value for key, value in schema.items() if key in ("readOnly", "writeOnly")}
    return {**flags, "anyOf": [schema, _NULL]}


def _from_text(schema: Schema) -> Schema:
    """What stands for a number or a boolean in a body."""
    if schema.get("type") == "integer":
        return {**schema, "type": ["integer", "string"], "pattern": "^-?[0-9]{1,19}$"}
    if schema.get("type") == "boolean":
        return {**schema, "type": ["boolean", "string"], "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"}
    options = schema.get("enum", [])
    if any(isinstance(option, bool) for option in options):
        return {**schema, "enum": [*options, *(str(option).lower() for option in options)]}
    return schema
