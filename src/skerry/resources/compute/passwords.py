"""Azure's rules for the administrator and the host name of a Linux VM, and the hash that is stored of a password.

Source: https://learn.microsoft.com/azure/virtual-machines/linux/faq. The passwords that Azure forbids by name are
all shorter than 12 characters.
"""

import re
import secrets

from skerry.arm.errors import BadRequest
from skerry.resources.compute.sha512crypt import ITOA64, sha512_crypt

_CLASSES = (re.compile("[A-Z]"), re.compile("[a-z]"), re.compile("[0-9]"), re.compile(r"[\W_]"))
# What azure-cli refuses as well (azure-cli-core, util.py).
_DISALLOWED = re.compile(
    r"administrator|admin[12]?|user[1-5]?|test[1-3]?|1|123|a|actuser|adm|aspnet|backup|console|guest|owner|root|server|"
    r"sql|support|support_388945a0|sys",
    re.IGNORECASE,
)
# What useradd takes: a longer name would fail inside the guest.
_USER_NAME = re.compile("[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,64}}\Z){_LABEL}(?:\.{_LABEL})*")


def check_password(text: str) -> None:
    """Raises BadRequest `InvalidParameter` for a password that isn't complex enough. Its message never has it."""
    control = any(ord(character) < 32 or ord(character) == 127 for character in text)
    if control or not 12 <= len(text) <= 72 or sum(bool(c.search(text)) for c in _CLASSES) < 3:
        raise BadRequest(
            "InvalidParameter",
            "The supplied password must be between 12-72 characters long and must satisfy at least 3 of password "
            "complexity requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a "
            "lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control "
            "characters are not allowed",
            target="adminPassword",
        )


def hash_password(text: str) -> str:
    """`$6$…`, with a salt of its own each time."""
    return sha512_crypt(text.encode(), "".join(secrets.choice(ITOA64) for _ in range(16)))


def check_admin_username(name: str) -> str:
    """The name. Raises BadRequest `InvalidParameter` for one that is reserved or that no Linux guest can have."""
    if _DISALLOWED.fullmatch(name):
        raise BadRequest(
            "InvalidParameter",
            f"The Admin Username specified is not allowed: '{name}' is reserved.",
            target="adminUsername",
        )
    if not _USER_NAME.fullmatch(name):
        raise BadRequest(
            "InvalidParameter",
            "Linux admin user name must be 1 to 32 characters long, contain only letters, numbers, hyphens, periods "
            "and underscores, and start with a letter or an underscore.",
            target="adminUsername",
        )
    return name


def check_computer_name(name: str) -> str:
    """The host name. Raises BadRequest `InvalidParameter`."""
    if not _HOST_NAME.fullmatch(name):
        raise BadRequest(
            "InvalidParameter",
            "Linux host name cannot exceed 64 characters in length or contain the following characters: "
            "` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?. "
            "Its parts between periods have up to 63 letters, numbers and hyphens, no hyphen first or last.",
            target="computerName",
        )
    return name
