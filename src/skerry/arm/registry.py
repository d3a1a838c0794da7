"""All types by name, and what `/providers` says of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skerry.arm.descriptor import AnyType, EmbeddedType, ResourceType, View
from skerry.arm.errors import BadRequest, NotFound
from skerry.arm.locations import DISPLAY_NAMES

GROUP_TYPE = "Microsoft.Resources/resourceGroups"
# Any api-version from 2015 on is accepted; these are listed, newest first, for clients that pick one.
API_VERSIONS = ("2026-04-01", "2025-11-01", "2025-04-01", "2024-11-01", "2022-11-01", "2019-12-01", "2015-06-15")
API_VERSION = re.compile(r"20(1[5-9]|[2-9][0-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(-[a-z]+(\.[0-9]+)?)?")


def check_api_version(version: str | None) -> str:
    """The api-version of a request. Raises BadRequest as ARM does when it is missing or can't be one."""
    if not version:
        raise BadRequest(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not API_VERSION.fullmatch(version.lower()):
        raise BadRequest(
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. Use a date from 2015-01-01 on, for example '{API_VERSIONS[0]}'.",
        )
    return version


class Registry:
    """The types and views of one control plane."""

    def __init__(self, types: Sequence[AnyType], views: Sequence[View]) -> None:
        self.types: Mapping[str, AnyType] = {kind.name.lower(): kind for kind in types}
        self.views = [(view.path.lower().split("/"), view) for view in views]
        self.namespaces: Mapping[str, str] = {
            name.split("/")[0].lower(): name.split("/")[0]
            for name in [*(t.name for t in types), *(v.path for v in views)]
        }

    def get(self, name: str) -> AnyType:
        """The type with this name. Raises NotFound, see `refusal`."""
        found = self.types.get(name.lower())
        if found is not None:
            return found
        raise self.refusal(name)

    def methods(self, name: str) -> Sequence[str]:
        """The methods of a resource of this type; of a type that isn't known those that any has."""
        kind = self.types.get(name.lower())
        if isinstance(kind, EmbeddedType):
            return ("GET", "HEAD") if kind.read_only else ("GET", "HEAD", "PUT", "DELETE")
        puts = kind is None or kind.puts
        return ("GET", "HEAD", "PUT", "PATCH", "DELETE") if puts else ("GET", "HEAD", "DELETE")

    def methods_below(self, name: str, below: str) -> Sequence[str]:
        """The methods of a list, view or action below a resource of this type; of an unknown one those of both."""
        kind = self.types.get(name.lower())
        action = kind.action(below) if isinstance(kind, ResourceType) else None
        if f"{name}/{below}".lower() in self.types or (isinstance(kind, ResourceType) and kind.view(below)):
            return ("GET",)
        return ("GET", "POST") if action is None else ("POST",)

    def is_brief(self, name: str) -> bool:
        """Whether a GET of this type reads a few rows by key at most."""
        kind = self.types.get(name.lower())
        return isinstance(kind, ResourceType) and kind.brief

    def refusal(self, name: str) -> NotFound:
        """What is said of a type that Skerry doesn't have: `InvalidResourceNamespace` or `InvalidResourceType`."""
        namespace, _, rest = name.partition("/")
        if namespace.lower() not in self.namespaces:
            known = ", ".join(sorted(self.namespaces.values()))
            return NotFound(
                "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid. Skerry has {known}."
            )
        return NotFound(
            "InvalidResourceType",
            f"The resource type '{rest}' could not be found in the namespace '{namespace}'. "
            "Skerry does not support it; `az provider show` lists what it does.",
        )

    def embedded_in(self, name: str) -> Sequence[EmbeddedType]:
        """The types that live inside this one."""
        return [t for t in self.types.values() if isinstance(t, EmbeddedType) and t.parent.lower() == name.lower()]

    def top_level(self) -> Sequence[ResourceType]:
        """The types that `az resource list` shows."""
        return [t for t in self.types.values() if isinstance(t, ResourceType) and t.tracked and t.name != GROUP_TYPE]

    def view(self, path: Sequence[str]) -> tuple[View, dict[str, str]] | None:
        """The view at a path below a subscription's `providers/`, with its named segments."""
        for pattern, view in self.views:
            if len(pattern) == len(path) and all(
                p.startswith("{") or p == s.lower() for p, s in zip(pattern, path, strict=True)
            ):
                named = zip(view.path.split("/"), path, strict=True)
                return view, {p[1:-1]: s for p, s in named if p.startswith("{")}
        return None

    def provider_view(self, namespace: str, subscription: str) -> dict[str, Any]:
        """What `GET /subscriptions/{id}/providers/{namespace}` answers."""
        name = self.namespaces.get(namespace.lower())
        if name is None:
            self.get(namespace)
        kinds = [t.name for t in self.types.values() if t.name.startswith(f"{name}/")]
        views = [re.sub(r"/\{[^}]*\}", "", v.path) for _, v in self.views if v.path.startswith(f"{name}/")]
        return {
            "id": f"/subscriptions/{subscription}/providers/{name}",
            "namespace": name,
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationFree",
            "resourceTypes": [_type_view(kind.partition("/")[2]) for kind in dict.fromkeys([*kinds, *views])],
        }


def _type_view(name: str) -> dict[str, Any]:
    return {
        "resourceType": name,
        "locations": list(DISPLAY_NAMES.values()),
        "apiVersions": list(API_VERSIONS),
        "defaultApiVersion": API_VERSIONS[0],
        "capabilities": "SupportsTags, SupportsLocation",
    }
