"""Names that become paths. Everything that comes from outside goes through here first."""

import re

from skerry.host.errors import Refused

_DISK = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{0,63}")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_IMPORTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URN_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def disk_id(text: str) -> str:
    """`text` if it is a disk's id (hex or a UUID). Raises Refused."""
    if not _DISK.fullmatch(text):
        raise Refused(f"{text!r} is no disk id: hexadecimal digits and hyphens, at most 64")
    return text


def template_id(text: str) -> str:
    """`text` if it is a template's id (a UUID). Raises Refused."""
    if not _DISK.fullmatch(text):
        raise Refused(f"{text!r} is no template id: hexadecimal digits and hyphens, at most 64")
    return text


def checkpoint_id(text: str) -> str:
    """`text` if it is a checkpoint's id (hex or a UUID). Raises Refused."""
    if not _DISK.fullmatch(text):
        raise Refused(f"{text!r} is no checkpoint id: hexadecimal digits and hyphens, at most 64")
    return text


def frozen_file(text: str) -> str:
    """`text` if it is the name of a file with what a checkpoint's disk held. Raises Refused."""
    checkpoint, _, rest = text.partition(".")
    checkpoint_id(checkpoint)
    disk_id(rest.removesuffix(".qcow2"))
    return text


def image_id(text: str) -> str:
    """`text` if it is an image's id. Raises Refused."""
    if not _IMAGE.fullmatch(text):
        raise Refused(f"{text!r} is no image id: lower-case letters, digits, '.', '_' and '-', at most 100")
    return text


def imported_name(text: str) -> str:
    """`text` if an imported image may have this name. Raises Refused."""
    if not _IMPORTED.fullmatch(text):
        raise Refused(f"{text!r} is no image name: letters, digits, '.', '_' and '-', at most 64, not a mark first")
    return text


def urn(text: str) -> str:
    """`text` if it is a marketplace URN, Publisher:Offer:Sku:Version. Raises Refused."""
    parts = text.split(":")
    if len(parts) != 4 or not all(_URN_PART.fullmatch(part) for part in parts):
        raise Refused(f"{text!r} is no image URN: it takes Publisher:Offer:Sku:Version")
    return text
