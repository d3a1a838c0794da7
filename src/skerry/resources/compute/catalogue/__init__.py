"""What can be asked for: sizes, their quotas, and the images that are here."""

from skerry.arm.descriptor import View
from skerry.resources.compute.catalogue import image_views, skus, usages

_LOCATION = "Microsoft.Compute/locations/{location}"
_OFFERS = f"{_LOCATION}/publishers/{{publisher}}/artifacttypes/vmimage/offers"
_SKUS = f"{_OFFERS}/{{offer}}/skus"
_VERSIONS = f"{_SKUS}/{{sku}}/versions"

VIEWS: tuple[View, ...] = (
    View(f"{_LOCATION}/vmSizes", skus.sizes_view),
    View("Microsoft.Compute/skus", skus.skus_view),
    View(f"{_LOCATION}/usages", usages.compute_view),
    View("Microsoft.Network/locations/{location}/usages", usages.network_view),
    View(f"{_LOCATION}/publishers", image_views.publishers_view),
    View(_OFFERS, image_views.offers_view),
    View(_SKUS, image_views.skus_view),
    View(_VERSIONS, image_views.versions_view),
    View(f"{_VERSIONS}/{{version}}", image_views.version_view),
)
