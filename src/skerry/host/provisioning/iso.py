"""The provisioning CD: ISO 9660 with Rock Ridge and Joliet, so that every system sees the file's real name."""

from io import BytesIO

from pycdlib.pycdlib import PyCdlib

FILE = "ovf-env.xml"


def provisioning_cd(ovf_env: bytes) -> bytes:
    """A CD image with `ovf-env.xml` in its root."""
    iso, image = PyCdlib(), BytesIO()
    iso.new(interchange_level=3, rock_ridge="1.09", joliet=3, vol_ident="SKERRY")
    iso.add_fp(BytesIO(ovf_env), len(ovf_env), iso_path="/OVF_ENV.XML;1", rr_name=FILE, joliet_path=f"/{FILE}")
    iso.write_fp(image)
    iso.close()
    return image.getvalue()
