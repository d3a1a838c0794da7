"""Everything about who may do what here, loaded from one state folder."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from skerry.identity import keys, principals
from skerry.identity.device import DeviceLogins
from skerry.identity.keys import SigningKey
from skerry.identity.principals import Account, Principal
from skerry.identity.tokens import Tokens

# Scripts that name Azure's own resource get a token all the same; it opens nothing but this Skerry.
_AZURE_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Identity:
    """The account, the key and the tokens of one Skerry. `base_url` has no trailing slash."""

    base_url: str
    account: Account
    key: SigningKey
    tokens: Tokens
    devices: DeviceLogins

    @classmethod
    def load(cls, state: Path, base_url: str) -> "Identity":
        """Load what is in `state`/keys and make what is missing. Raises BrokenState for a damaged file."""
        base = base_url.rstrip("/")
        account, key = principals.load(state), keys.load(state)
        tokens = Tokens(key, f"{base}/adfs", account.tenant_id, _audiences(base))
        return cls(base, account, key, tokens, DeviceLogins())

    @property
    def authority(self) -> str:
        """The login endpoint, for `WWW-Authenticate` and the cloud's metadata."""
        return f"{self.base_url}/adfs"

    @property
    def tenant_id(self) -> str:
        """The one tenant's id."""
        return self.account.tenant_id

    @property
    def subscription_id(self) -> str:
        """The one subscription's id."""
        return self.account.subscription_id

    def verify(self, header: str | None) -> Principal:
        """Who sends a request with this Authorization header; raises TokenError (answer it with 401)."""
        return self.tokens.verify(header)


def _audiences(base: str) -> list[str]:
    """Every form in which az and the SDKs name this API, with and without a trailing slash."""
    parts = urlsplit(base)
    port = f":{parts.port}" if parts.port else ""
    plain = [base.lower(), *(f"{parts.scheme}://{host}{port}" for host in _LOCAL_HOSTS), *_AZURE_AUDIENCES]
    return [form for audience in dict.fromkeys(plain) for form in (audience, f"{audience}/")]
