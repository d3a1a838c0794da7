"""What can be asked for: sizes, their quotas, and the images that are here."""

from typing import Annotated

from msgspec import Meta

from skerry.arm.descriptor import Query, Text, View
from skerry.resources.compute.catalogue import image_views, skus, usages
from skerry.resources.compute.catalogue.wire import ImageVersion, Named, SizeList, SkuList, UsageList

_LOCATION = "Microsoft.Compute/locations/{location}"
_OFFERS = f"{_LOCATION}/publishers/{{publisher}}/artifacttypes/vmimage/offers"
_SKUS = f"{_OFFERS}/{{offer}}/skus"
_VERSIONS = f"{_SKUS}/{{sku}}/versions"

_FILTER = Query("$filter", Annotated[str, Meta(max_length=128)], "location eq 'NAME'")
_TOP = Query("$top", Annotated[int, Meta(ge=1, le=1000)], "how many versions at most")
_ORDER = Query("$orderby", Text, "name, name asc or name desc")
_EXPAND = Query("$expand", Text, "properties: show each version whole")
VIEWS: tuple[View, ...] = (
    View(f"{_LOCATION}/vmSizes", skus.sizes_view, SizeList),
    View("Microsoft.Compute/skus", skus.skus_view, SkuList, (_FILTER,)),
    View(f"{_LOCATION}/usages", usages.compute_view, UsageList),
    View("Microsoft.Network/locations/{location}/usages", usages.network_view, UsageList),
    View(f"{_LOCATION}/publishers", image_views.publishers_view, list[Named]),
    View(_OFFERS, image_views.offers_view, list[Named]),
    View(_SKUS, image_views.skus_view, list[Named]),
    View(_VERSIONS, image_views.versions_view, list[ImageVersion], (_TOP, _ORDER, _EXPAND)),
    View(f"{_VERSIONS}/{{version}}", image_views.version_view, ImageVersion),
)
