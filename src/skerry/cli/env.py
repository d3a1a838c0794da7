"""`skerry env`: what points az and the SDKs at this Skerry, as exports for `eval "$(skerry env)"`.

az keeps its clouds and logins in AZURE_CONFIG_DIR; ours is STATE/azure, so that a user's own stays as it is. The
cloud is registered and the login made once for each port and secret: STATE/azure/.skerry remembers which.
"""

import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click

from skerry.cli.errors import CliError
from skerry.cli.logs import quiet
from skerry.cli.options import with_state
from skerry.cli.state import Credentials, credentials, needed

CLOUD = "Skerry"
_AZ_SECONDS = 120


@click.command()
@with_state
def env(state: Path) -> None:
    """Print exports that point az and the SDKs here; use: eval "$(skerry env)"."""
    server, login = needed(state), credentials(state)
    exports = exported(state, server.base_url, login)
    az = os.environ.get("SKERRY_AZ") or shutil.which("az")
    if az is None:
        click.echo("skerry: az isn't installed: `make az` installs one (then set SKERRY_AZ to it).", err=True)
    else:
        _log_in(az, state / "azure", server.base_url, login, exports)
    for name, value in exports.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def exported(state: Path, base_url: str, login: Credentials) -> dict[str, str]:
    """The variables: for az, for the SDKs' EnvironmentCredential, for Terraform and for scripts of one's own."""
    return {
        "SKERRY_STATE": str(state),
        "REQUESTS_CA_BUNDLE": str(state / "tls" / "ca-bundle.pem"),
        "AZURE_CONFIG_DIR": str(state / "azure"),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
        "AZURE_CLIENT_ID": login.app_id,
        "AZURE_CLIENT_SECRET": login.app_secret,
        "AZURE_TENANT_ID": "adfs",
        "AZURE_AUTHORITY_HOST": base_url,
        "AZURE_SUBSCRIPTION_ID": login.subscription_id,
        "ARM_ENDPOINT": base_url,
        "ARM_METADATA_HOSTNAME": urlsplit(base_url).netloc,
    }


def _log_in(az: str, folder: Path, base_url: str, login: Credentials, exports: Mapping[str, str]) -> None:
    mark, wanted = folder / ".skerry", _digest(base_url, login)
    if mark.is_file() and mark.read_text() == wanted:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    click.echo("skerry: registering the cloud and logging az in (only this once) …", err=True)
    environment = {**os.environ, **exports}
    if _registered(folder):
        _run_az(az, ["cloud", "set", "-n", "AzureCloud"], environment)
        _run_az(az, ["cloud", "unregister", "-n", CLOUD], environment)
    _run_az(az, ["cloud", "register", "-n", CLOUD, "--endpoint-resource-manager", base_url], environment)
    _run_az(az, ["cloud", "set", "-n", CLOUD], environment)
    # az reads an option's value from a file when it begins with @: the secret stays out of the process list.
    with tempfile.NamedTemporaryFile("w", dir=folder) as secret:
        secret.write(login.app_secret)
        secret.flush()
        words = ["login", "--service-principal", "-u", login.app_id, "-p", f"@{secret.name}"]
        _run_az(az, [*words, "--tenant", login.tenant_id], environment)
    mark.write_text(wanted)


def _registered(folder: Path) -> bool:
    clouds = folder / "clouds.config"
    return clouds.is_file() and f"[{CLOUD}]" in clouds.read_text()


def _run_az(az: str, words: list[str], environment: Mapping[str, str]) -> None:
    from skerry.host.errors import CommandError, HostError
    from skerry.host.run import run

    quiet()
    try:
        run([az, *words, "--only-show-errors"], environment=environment, timeout=_AZ_SECONDS)
    except CommandError as error:
        raise CliError(f"`az {words[0]}` failed, nothing was exported: {error.stderr.strip()}") from error
    except HostError as error:
        raise CliError(f"{az} could not be run: {error}. Set SKERRY_AZ to the right one.") from error


def _digest(base_url: str, login: Credentials) -> str:
    text = "\n".join([base_url, login.tenant_id, login.subscription_id, login.app_id, login.app_secret])
    return hashlib.sha256(text.encode()).hexdigest()
