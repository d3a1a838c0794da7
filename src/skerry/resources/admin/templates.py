"""Skerry.Admin/templates: the templates that VMs start warm from. `skerry image list` and `image warm` use it.

A POST orders one: a host with the image gets it into its spec, makes it in the background, and reports how that went.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from skerry.arm.descriptor import Order, Text, View, ViewContext
from skerry.arm.errors import Conflict, NotFound
from skerry.hostspec import ImageObserved, TemplateObserved, TemplateSpec, template_id
from skerry.resources.compute.catalogue.images import LATEST, resolve, resolve_urn
from skerry.resources.compute.catalogue.sizes import SIZES, get_size
from skerry.resources.compute.disk.model import default_os_disk_gb
from skerry.store import UnitOfWork

GIB = 1 << 30


class TemplateView(Struct, rename="camel"):
    """A template on a host. `state`: making, ready or failed, with a `message` then. `sizes`: the VMs that it is for.

    `order`: the last order that it was taken up for. `memory_bytes`, `disk_bytes`: what it takes of the host now.
    """

    id: str
    host: str
    image: str
    sizes: list[str]
    state: str
    order: int
    message: str
    memory_bytes: int
    disk_bytes: int


class Limits(Struct, rename="camel"):
    """What a host's templates may take, in bytes."""

    host: str
    memory_bytes: int
    disk_bytes: int


class TemplateList(Struct):
    """The answer. `limits`: one for each host where warm starts are on."""

    value: list[TemplateView]
    limits: list[Limits]


class WarmRequest(Struct, forbid_unknown_fields=True):
    """`image`: a URN, an alias, an image's id or the name it was built by. `size`: a VM size."""

    image: Text
    size: Text


class Ordered(Struct):
    """The template's id, and each host's order number: carried out once the host shows it, and isn't making it."""

    id: str
    orders: dict[str, int]


def show(context: ViewContext) -> TemplateList:
    """The templates of all hosts."""
    warm = context.work.hosts.warm()
    views = [_view(host, one) for host, seen in warm.items() for one in seen.templates]
    limits = [Limits(host, seen.memory_limit_bytes, seen.disk_limit_bytes) for host, seen in warm.items()]
    return TemplateList(views, limits)


def order(context: ViewContext, body: WarmRequest) -> Ordered:
    """Order a template on every host that has the image and where warm starts are on."""
    work = context.work
    image, size = _image(work, body.image), get_size(body.size)
    hosts = [host for host in work.hosts.warm() if work.hosts.image(host, image.id) is not None]
    if not hosts:
        raise Conflict(
            "WarmStartsAreOff",
            "No host with this image makes templates: warm starts are turned off, or its hosts are simulated. Start "
            "Skerry with `skerry up --warm on`.",
            target="image",
        )
    firmware: Literal["bios", "uefi"] = "bios" if image.generation == "V1" else "uefi"
    identifier = template_id(image.id, size.vcpus, size.memory_bytes, firmware)
    orders = {}
    for host in hosts:
        known = work.hosts.get(host, TemplateSpec, identifier)
        orders[host] = known.order + 1 if known else 1
        disk = default_os_disk_gb(image) * GIB
        spec = TemplateSpec(
            identifier, image.id, size.vcpus, size.memory_bytes, firmware, disk_bytes=disk, order=orders[host]
        )
        work.hosts.put(host, spec)
    return Ordered(identifier, orders)


def _image(work: UnitOfWork, name: str) -> ImageObserved:
    """By its id, or what a VM of that alias, name or URN would be made of."""
    if ":" in name:
        return resolve_urn(work, name)
    images = work.hosts.images()
    for one in images:
        if name.lower() == one.id.lower():
            return one
        if name.lower() in (one.alias.lower(), one.offer.lower()):
            return resolve(work, one.publisher, one.offer, one.sku, LATEST)
    known = ", ".join(sorted(one.alias or one.id for one in images)) or "none"
    raise NotFound("ImageNotFound", f"There is no image '{name}' here. There are: {known}.", target="image")


def _view(host: str, one: TemplateObserved) -> TemplateView:
    return TemplateView(
        one.id,
        host,
        one.image,
        list(_sizes(one)),
        one.state,
        one.order,
        one.message,
        one.loaded_bytes,
        one.disk_bytes,
    )


def _sizes(one: TemplateObserved) -> Iterator[str]:
    for size in SIZES.values():
        if (size.vcpus, size.memory_bytes) == (one.vcpus, one.memory_bytes):
            yield size.name


VIEWS = (View("Skerry.Admin/templates", show, TemplateList, order=Order(order, WarmRequest, Ordered)),)
