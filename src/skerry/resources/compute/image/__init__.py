"""Microsoft.Compute/images: there are none, but az looks here for an `--image` that is no alias and no URN.

So this is where such a name is refused with the commands that bring an image.
"""

from skerry.arm.descriptor import AnyType, ArmResource, PutContext, ResourceType
from skerry.arm.errors import BadRequest, NotFound, resource_not_found
from skerry.arm.ids import ResourceId
from skerry.resources.compute.catalogue.images import how_to_bring, known_urn
from skerry.store import UnitOfWork


def _put(_context: PutContext[ArmResource]) -> None:
    raise BadRequest(
        "OperationNotAllowed",
        "Images made of VMs, disks and blobs are not supported. Bring a disk image with: "
        "skerry image import FILE --name NAME",
    )


def _missing(work: UnitOfWork, resource: ResourceId) -> NotFound:
    azure = resource_not_found(resource.label, resource.group)
    hint = how_to_bring(work, known_urn(resource.name))
    return NotFound(azure.code, f"{azure.message}. If '{resource.name}' is the name of a marketplace image: {hint}")


TYPES: tuple[AnyType, ...] = (ResourceType("Microsoft.Compute/images", ArmResource, _put, missing=_missing),)
