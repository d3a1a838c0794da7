"""The location in the path of a catalogue's view."""

from skerry.arm.descriptor import ViewContext
from skerry.arm.errors import BadRequest
from skerry.arm.locations import DISPLAY_NAMES, LOCAL, normalise


def location_of(context: ViewContext, type_name: str) -> str:
    """The location as the client wrote it. Raises BadRequest `NoRegisteredProviderFound` for one that isn't known."""
    location = context.path["location"]
    check(location, type_name)
    return location


def check(location: str, type_name: str) -> None:
    """Raises BadRequest `NoRegisteredProviderFound` for a location that isn't known."""
    if normalise(location) not in DISPLAY_NAMES:
        raise BadRequest(
            "NoRegisteredProviderFound",
            f"No registered resource provider found for location '{location}' for type '{type_name}'. "
            f"Use '{LOCAL}', or the name of an Azure region, which means the same here.",
        )
