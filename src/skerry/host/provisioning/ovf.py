"""ovf-env.xml, with which Azure tells a new Linux guest who it is.

The reader to satisfy is cloud-init's `cloudinit/sources/helpers/azure.py` (OvfEnvXml); the Linux agent reads the
same elements. The file holds the user's custom data: it is as secret as that.
"""

import base64
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from skerry.host.provisioning.userdata import user_data
from skerry.hostspec import Provisioning

OVF = "http://schemas.dmtf.org/ovf/environment/1"
WA = "http://schemas.microsoft.com/windowsazure"

register_namespace("ovf", OVF)
register_namespace("wa", WA)


def ovf_env(provisioning: Provisioning) -> bytes:
    """The whole file, UTF-8."""
    root = Element(f"{{{OVF}}}Environment")
    section = _wa(root, "ProvisioningSection")
    _wa(section, "Version", "1.0")
    _linux(_wa(section, "LinuxProvisioningConfigurationSet"), provisioning)
    platform = _wa(root, "PlatformSettingsSection")
    _wa(platform, "Version", "1.0")
    settings = _wa(platform, "PlatformSettings")
    _wa(settings, "ProvisionGuestAgent", "false")
    _wa(settings, "PreprovisionedVm", "false")
    xml: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def _linux(parent: Element, provisioning: Provisioning) -> None:
    _wa(parent, "ConfigurationSetType", "LinuxProvisioningConfiguration")
    _wa(parent, "HostName", provisioning.hostname)
    _wa(parent, "UserName", provisioning.admin_username)
    disabled = provisioning.disable_password_authentication
    _wa(parent, "DisableSshPasswordAuthentication", "true" if disabled else "false")
    data = user_data(provisioning)
    if data is not None:
        _wa(parent, "CustomData", base64.b64encode(data).decode())
    if provisioning.ssh_public_keys:
        _keys(_wa(_wa(parent, "SSH"), "PublicKeys"), provisioning)


def _keys(parent: Element, provisioning: Provisioning) -> None:
    """Keys also come by instance metadata; here they are for guests that can't reach it in time."""
    for key in provisioning.ssh_public_keys:
        element = _wa(parent, "PublicKey")
        _wa(element, "Path", f"/home/{provisioning.admin_username}/.ssh/authorized_keys")
        _wa(element, "Value", key)


def _wa(parent: Element, name: str, text: str | None = None) -> Element:
    element = SubElement(parent, f"{{{WA}}}{name}")
    element.text = text
    return element
