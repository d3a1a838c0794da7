"""crypt(5)'s `$6$`: the published vector, and hashes that libxcrypt made."""

import pytest

from skerry.resources.compute.sha512crypt import sha512_crypt


def test_the_vector_of_the_specification() -> None:
    assert sha512_crypt(b"Hello world!", "saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    )


@pytest.mark.parametrize(
    "password, salt, expected",
    [
        (b"", "x", "QSmr1Bx2g4O6BzKvdkgOcyU6H91X6I/XBv5pSalMhSPkwdH6Beo3F455xZJg0v//bxVK5F4OE5k1.0xuR26MK0"),
        (
            b"a" * 63,
            "saltsaltsaltsalt",
            "6J8/bkGi7NfifVYmPrl/ZaVccOafkgC9KTSCMKZSrxO0S6fNmDhGwnRhnvfxoTWKiAbSUkKVprxRFF0fzcK6F/",
        ),
        (
            b"a" * 64,
            "./09azAZ",
            "PA89q06xpGCxyC5fP/Zb2TiLDzB7AaElon2fAkT.hfZ0ifXD8YawL4xx5FKQUiKI1Gf7OkPHJgES2A9zugz0g0",
        ),
        (
            b"0123456789" * 13,
            "saltsaltsaltsalt",
            "AjNXn0oTzattmeElcKGYzdl524jozrr7B7Yrb8xg1gVwmyxvV0mC/W.zbYm3.sd2H6FxBkOTiEDLBvYLOVMRA.",
        ),
        (
            "gr\u00fc\u00dfe".encode(),
            "salt",
            "LRcZQ0YRbEICW9EKpE0uZ2GMFAowdXGD7uQQ.fy5ESo1XXr.J5D96yQOKn3DJ5tZqog/fZebHniTUEe4i/Ihd1",
        ),
    ],
)
def test_hashes_of_libxcrypt(password: bytes, salt: str, expected: str) -> None:
    assert sha512_crypt(password, salt) == f"$6${salt}${expected}"
