"""From a path to the one call that answers it. Knows ARM's path grammar, no resource type."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool

from skerry.arm.activity import Refusals
from skerry.arm.body import decode, parse_json
from skerry.arm.conditions import check_syntax
from skerry.arm.descriptor import (
    ActionContext,
    AnyType,
    EmbeddedType,
    ResourceType,
    Result,
    ViewContext,
    check_query,
)
from skerry.arm.envelopes import envelopes, expansions
from skerry.arm.errors import ArmError, BadRequest, NotFound
from skerry.arm.filters import OF_GROUPS, parse_filter, search
from skerry.arm.ids import ResourceId
from skerry.arm.incoming import segments
from skerry.arm.locations import locations_view
from skerry.arm.paging import page
from skerry.arm.polling import operation_headers, poll_result, poll_status
from skerry.arm.registry import GROUP_TYPE
from skerry.arm.requests import ArmRequest, ArmResponse, raw_list
from skerry.arm.service import Conditions, PutResult, ResourceService, unknown_action
from skerry.arm.writing import Writing
from skerry.store import Store, UnitOfWork

Handler = Callable[[ArmRequest, UnitOfWork], ArmResponse]
ROOTS = ("subscriptions", "providers", "tenants")  # what ARM's paths begin with
PATHS = tuple(f"/{root}" for root in ROOTS)


class Call(NamedTuple):
    """What answers a request, and the methods that its path has. `brief`: it reads a few rows by key at most."""

    run: Handler
    methods: Sequence[str] = ("GET",)
    brief: bool = False


class Routes:
    """Answers ARM requests on one store and service."""

    def __init__(self, store: Store, service: ResourceService) -> None:
        self._store, self._service, self._tenant = store, service, service.installation.tenant
        self._writing = Writing(store)
        self._refusals = Refusals(store, service.registry, service.subscription)
        self._groups = ResourceId(service.subscription, "").key

    async def answer(self, request: ArmRequest) -> ArmResponse:
        """Answer a request in one transaction. Every refusal is an answer; nothing it wrote stays then.

        Brief reads are done here, on the event loop, where the database never makes them wait; all else in threads.
        """
        try:
            call = self._match(request.segments)
            if request.method not in call.methods:
                raise _bad_method(request, call.methods)
            if call.brief and self._store.glances and request.method in ("GET", "HEAD"):
                with self._store.glance() as work:
                    return call.run(request, work)
            if request.method in ("GET", "HEAD"):
                return await run_in_threadpool(self._read, request, call)
            return await self._write(request, call)
        except ArmError as error:
            return ArmResponse.error(error)

    def _read(self, request: ArmRequest, call: Call) -> ArmResponse:
        with self._store.read() as work:
            return call.run(request, work)

    async def _write(self, request: ArmRequest, call: Call) -> ArmResponse:
        def block(work: UnitOfWork) -> ArmResponse:
            work.origin = request.origin
            return call.run(request, work)

        try:
            found: ArmResponse = await self._writing.run(block)
            return found
        except ArmError as error:
            await run_in_threadpool(self._refusals.log, request, error)
            raise

    def reads(self, scope: Mapping[str, Any]) -> bool:
        """Whether an ASGI request is a brief read, for which nothing but the database is needed."""
        if scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith(PATHS):
            return False
        try:
            call = self._match(segments(scope))
        except ArmError:
            return False
        return call.brief and scope["method"] in call.methods

    def _match(self, parts: tuple[str, ...]) -> Call:
        lower = [part.lower() for part in parts]
        if lower[:1] == ["tenants"] and len(parts) == 1:
            return _read(self._tenants)
        if lower[:1] == ["providers"]:
            return self._match_providers(parts, tenant=True)
        if lower[:1] != ["subscriptions"]:
            raise _no_route(parts)
        if len(parts) <= 2:
            return _read(self._subscription if len(parts) == 2 else self._subscriptions)
        self._service.check_subscription(parts[1])
        return self._match_subscription(parts, lower)

    def _match_subscription(self, parts: tuple[str, ...], lower: list[str]) -> Call:
        what = lower[2]
        if what == "locations" and len(parts) == 3:
            return _read(self._locations)
        if what == "providers":
            return self._match_providers(parts[2:])
        if what == "resources" and len(parts) == 3:
            return Call(lambda request, work: self._resources(request, work, None))
        if what == "resourcegroups":
            return self._match_group(parts, lower)
        raise _no_route(parts)

    def _match_providers(self, parts: tuple[str, ...], *, tenant: bool = False) -> Call:
        if len(parts) <= 2:
            return _read(lambda _r, _w: self._providers(parts[1] if len(parts) == 2 else None))
        registry = self._service.registry
        view = registry.view(parts[1:])
        if view is not None and view[0].order is not None and not tenant:
            return Call(lambda request, work: self._view(request, work, parts[1:]), ("GET", "POST"))
        if len(parts) == 3 and not tenant:
            if parts[2].lower() == "register":
                return Call(lambda _r, _w: self._providers(parts[1]), ("POST",))
            return Call(lambda request, work: self._list(request, work, f"{parts[1]}/{parts[2]}", None))
        below = [part.lower() for part in parts]
        if len(parts) == 6 and below[2] == "locations" and below[4] in ("operations", "operationresults"):
            return Call(lambda request, work: self._operation(request, work, below[4], parts[5]), brief=True)
        methods = ("GET",) if view else registry.methods("")  # else it is refused by name
        return Call(lambda request, work: self._view(request, work, parts[1:]), methods)

    def _match_group(self, parts: tuple[str, ...], lower: list[str]) -> Call:
        if len(parts) == 3:
            return Call(lambda request, work: self._list(request, work, GROUP_TYPE, None))
        group = ResourceId(parts[1], parts[3])
        if len(parts) == 4:
            methods = self._service.registry.methods(GROUP_TYPE)
            return Call(lambda request, work: self._resource(request, work, group), methods, brief=True)
        if lower[4] == "resources" and len(parts) == 5:
            return Call(lambda request, work: self._resources(request, work, group))
        if lower[4] == "deployments":  # an old form that az still uses
            parts = (*parts[:4], "providers", "Microsoft.Resources", *parts[4:])
        if parts[4].lower() != "providers":
            return self._match_below(group, parts[4:])
        if len(parts) < 7:
            raise _no_route(parts)
        return self._match_resource(parts)

    def _match_resource(self, parts: tuple[str, ...]) -> Call:
        rest = parts[6:]
        lower = [part.lower() for part in rest[:-2]]
        if "providers" in lower:  # a resource of another provider on this one: tags, locks, metrics
            at = lower.index("providers")
            raise self._service.registry.refusal(f"{rest[at + 1]}/{rest[at + 2]}")
        types, names = rest[0::2], rest[1::2]
        resource = ResourceId(parts[1], parts[3], parts[5], types[: len(names)], names)
        if len(types) == len(names):
            registry, name = self._service.registry, resource.type
            run = partial(self._resource, resource=resource)
            return Call(run, registry.methods(name), registry.is_brief(name))
        if not names:
            return Call(lambda request, work: self._list(request, work, f"{parts[5]}/{types[0]}", resource))
        return self._match_below(resource, (types[-1],))

    def _match_below(self, resource: ResourceId, path: tuple[str, ...]) -> Call:
        methods = self._service.registry.methods_below(resource.type, "/".join(path))
        return Call(lambda request, work: self._below(request, work, resource, path), methods)

    # -- what belongs to no resource

    def _tenants(self, _request: ArmRequest, _work: UnitOfWork) -> ArmResponse:
        tenant = {"id": f"/tenants/{self._tenant}", "tenantId": self._tenant, "displayName": "Skerry"}
        return ArmResponse.of({"value": [tenant]})

    def _subscription_view(self) -> dict[str, Any]:
        identifier = self._service.subscription
        return {
            "id": f"/subscriptions/{identifier}",
            "subscriptionId": identifier,
            "tenantId": self._tenant,
            "displayName": "Skerry",
            "state": "Enabled",
            "subscriptionPolicies": {"spendingLimit": "Off"},
            "authorizationSource": "RoleBased",
        }

    def _subscriptions(self, _request: ArmRequest, _work: UnitOfWork) -> ArmResponse:
        return ArmResponse.of({"value": [self._subscription_view()]})

    def _subscription(self, request: ArmRequest, _work: UnitOfWork) -> ArmResponse:
        self._service.check_subscription(request.segments[1])
        return ArmResponse.of(self._subscription_view())

    def _locations(self, _request: ArmRequest, _work: UnitOfWork) -> ArmResponse:
        return ArmResponse.of({"value": locations_view(self._service.subscription)})

    def _providers(self, namespace: str | None) -> ArmResponse:
        registry, subscription = self._service.registry, self._service.subscription
        if namespace is not None:
            return ArmResponse.of(registry.provider_view(namespace, subscription))
        names = registry.namespaces
        return ArmResponse.of({"value": [registry.provider_view(name, subscription) for name in names]})

    def _view(self, request: ArmRequest, work: UnitOfWork, path: tuple[str, ...]) -> ArmResponse:
        found = self._service.registry.view(path)
        if found is None:
            asked = (path[0], path[1], *path[3:4]) if path[1].lower() == "locations" else path[:2]
            raise _in_groups_only(self._service.registry.get("/".join(asked)).name)
        view, named = found
        check_query(view.query, request.query)
        context = ViewContext(work, self._service, self._service.subscription, named, request.query, request.base_url)
        if request.method == "POST" and view.order is not None:
            body: Any = decode(parse_json(request.body), view.order.body)
            return ArmResponse.of(view.order.run(context, body), 202)
        return ArmResponse.of(view.run(context))

    def _operation(self, request: ArmRequest, work: UnitOfWork, which: str, identifier: str) -> ArmResponse:
        if which == "operations":
            return poll_status(request, work, identifier)
        return poll_result(request, work, self._service, identifier)

    # -- lists

    def _list(self, request: ArmRequest, work: UnitOfWork, type_name: str, scope: ResourceId | None) -> ArmResponse:
        kind = self._service.registry.types.get(type_name.lower())
        found = self._service.registry.view(type_name.split("/")) if kind is None and scope is None else None
        if found is not None:
            return self._view(request, work, tuple(type_name.split("/")))
        kind = kind or self._service.registry.get(type_name)
        if scope is not None:
            self._service.check_group(work, scope)
        assert isinstance(kind, ResourceType)
        _check_list_query(request, kind)
        group = scope.group_id.key if scope else None
        terms = parse_filter(request.query.get("$filter"), OF_GROUPS)
        wanted = search([kind.name.lower()], group, self._groups, terms)
        find, query = partial(work.resources.find, wanted), request.query
        return page(request, find, lambda rows: self._service.views(work, kind, rows, query))

    def _resources(self, request: ArmRequest, work: UnitOfWork, group: ResourceId | None) -> ArmResponse:
        """`az resource list`: every tracked resource, envelope only."""
        if group is not None:
            self._service.check_group(work, group)
        terms = parse_filter(request.query.get("$filter"))
        shown = [kind.name.lower() for kind in self._service.registry.top_level()]
        wanted = search(shown, group.key if group else None, self._groups, terms)
        more = expansions(request.query.get("$expand"))
        return page(request, partial(work.resources.find, wanted), lambda rows: envelopes(rows, more))

    # -- one resource

    def _resource(self, request: ArmRequest, work: UnitOfWork, resource: ResourceId) -> ArmResponse:
        method = request.method
        kind = self._service.registry.get(resource.type)
        if isinstance(kind, ResourceType) and method in ("GET", "DELETE"):
            check_query(kind.get_query if method == "GET" else kind.delete_query, request.query)
        if method == "GET":
            return ArmResponse(200, self._service.get(work, resource, request.query), {})
        if method == "HEAD":
            return self._head(work, resource)
        conditions = Conditions(request.headers.get("if-match"), request.headers.get("if-none-match"))
        check_syntax(conditions)
        if method == "DELETE":
            forced = request.query.get("forcedeletion", "").lower() == "true"
            result = self._service.delete(work, resource, forced=forced, conditions=conditions)
            return self._accepted(request, result)
        parse = (kind.parse if isinstance(kind, ResourceType) else None) or parse_json
        if method == "PUT":
            return self._stored(request, self._service.put(work, resource, parse(request.body), conditions))
        return self._stored(request, self._service.patch(work, resource, parse(request.body), conditions))

    def _head(self, work: UnitOfWork, resource: ResourceId) -> ArmResponse:
        try:
            self._service.get(work, resource)
        except NotFound:
            return ArmResponse(404)
        return ArmResponse(204)

    def _stored(self, request: ArmRequest, result: PutResult) -> ArmResponse:
        response = ArmResponse(result.status, result.body)
        if result.operation is not None:
            response.headers.update(operation_headers(request, self._service, result.operation))
        return response

    def _accepted(self, request: ArmRequest, result: Result) -> ArmResponse:
        if result.operation is not None:
            return ArmResponse(202, headers=operation_headers(request, self._service, result.operation))
        return ArmResponse.of(result.body, result.status) if result.body is not None else ArmResponse(result.status)

    def _below(self, request: ArmRequest, work: UnitOfWork, resource: ResourceId, path: tuple[str, ...]) -> ArmResponse:
        """A child collection, a view (GET) or an action (POST) below a resource."""
        name = "/".join(path)
        child = self._service.registry.types.get(f"{resource.type}/{name}".lower())
        if request.method == "GET" and isinstance(child, EmbeddedType):
            return raw_list(self._service.list_embedded(work, child, resource))
        kind = self._service.registry.get(resource.type)
        body = _action_body(request, kind, name) if request.method == "POST" else None
        context = ActionContext(work, self._service, resource, None, body, request.query, request.base_url)
        if request.method == "POST":
            return self._accepted(request, self._service.act(context, name))
        view = kind.view(name) if isinstance(kind, ResourceType) else None
        if view is None:
            raise self._no_view(resource, kind, name)
        check_query(view.query, request.query)
        context.row = self._service.require(work, resource)
        return ArmResponse.of(view.run(context))

    def _no_view(self, resource: ResourceId, kind: AnyType, name: str) -> ArmError:
        """The refusal of a list or view below a resource; a group and its like name no child types."""
        if not isinstance(kind, ResourceType) or not kind.tracked or kind.name == GROUP_TYPE:
            return unknown_action(kind, name)
        child = self._service.registry.types.get(f"{resource.type}/{name}".lower())
        if child is not None:
            return NotFound(
                "InvalidRequestUri", f"'{child.name}' has no list of its own, as on Azure: GET its parent with $expand."
            )
        return self._service.registry.refusal(f"{resource.type}/{name}")


def _action_body(request: ArmRequest, kind: AnyType, name: str) -> Any:
    action = kind.action(name) if isinstance(kind, ResourceType) else None
    if action is None:
        raise unknown_action(kind, name)
    check_query(action.query, request.query)
    if action.parse is not None:
        return action.parse(request.body)
    return decode(parse_json(request.body) if request.body.strip() else {}, action.body)


def _check_list_query(request: ArmRequest, kind: ResourceType) -> None:
    """Raises BadRequest for what would change a list of one type and isn't supported there."""
    check_query(kind.list_query, request.query)
    asked = ["$expand", "$orderby", "$select", *(["$filter"] if kind.name != GROUP_TYPE else [])]
    if request.query.get("statusonly", "").lower() == "true":
        asked.append("statusonly")
    taken = {query.name.lower() for query in kind.list_query}
    name = next((name for name in asked if name not in taken and request.query.get(name)), None)
    if name is not None:
        shown = "statusOnly" if name == "statusonly" else name
        raise BadRequest(
            "InvalidQueryParameter",
            f"The query parameter {shown} is not supported by the list of '{kind.name}': leave it out and choose from "
            f"what the list answers, or GET each one.",
            target=shown,
        )


def _read(handler: Handler) -> Call:
    """What reads no rows, for GET only."""
    return Call(handler, brief=True)


def _bad_method(request: ArmRequest, allowed: Sequence[str]) -> BadRequest:
    return BadRequest(
        "HttpMethodNotSupported",
        f"The HTTP method '{request.method}' is not supported at '/{'/'.join(request.segments)}'.",
        status=405,
        headers={"Allow": ", ".join(allowed)},
    )


def _in_groups_only(type_name: str) -> NotFound:
    return NotFound(
        "InvalidRequestUri",
        f"'{type_name}' is supported in resource groups only, at "
        f"/subscriptions/{{id}}/resourceGroups/{{group}}/providers/{type_name}/{{name}}.",
    )


def _no_route(parts: Sequence[str]) -> NotFound:
    return NotFound("InvalidRequestUri", f"No resource or list has the path '/{'/'.join(parts)}'.")
