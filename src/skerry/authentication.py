"""Who sends a request, and ARM's answer to those who don't say so."""

from skerry.arm.app import Authenticate
from skerry.arm.errors import ArmError
from skerry.identity import Identity, TokenError
from skerry.identity.principals import Principal


def authenticator(identity: Identity) -> Authenticate:
    """Checks an Authorization header; ARM's 401 for one that doesn't hold."""

    def authenticate(header: str | None) -> Principal:
        try:
            return identity.verify(header)
        except TokenError as error:
            challenge = {"WWW-Authenticate": error.challenge(identity.authority)}
            raise ArmError(error.code, str(error), status=401, headers=challenge) from error

    return authenticate
