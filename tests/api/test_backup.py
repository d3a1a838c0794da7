"""A backup of an installation that has a VM: the restored one answers the same."""

from pathlib import Path

from starlette.testclient import TestClient
from tests.api.client import BASE, Arm

from skerry.authentication import authenticator
from skerry.backup import backup, restore
from skerry.control import ControlPlane
from skerry.identity import Identity


def test_a_restored_installation_serves_the_same_resources(
    arm: Arm, database: str | Path, identity: Identity, tmp_path: Path
) -> None:
    vm = arm.vm(arm.group())
    before = [arm.get(path).body for path in ("resources", vm, "resourcegroups")]
    state, new = tmp_path / "state", tmp_path / "new"
    if isinstance(database, Path):
        state = database.parent
    backup(state, database if isinstance(database, str) else None, tmp_path / "backup")
    restore(tmp_path / "backup", new, None)

    control = ControlPlane(new / "skerry.db", arm.control.service.installation, arm.control.service)
    try:
        app = control.app(authenticator(identity))
        with_token = {"Authorization": f"Bearer {identity.tokens.access(identity.account.application(), BASE)}"}
        client = TestClient(app, base_url=BASE, headers=with_token)
        prefix, version = f"/subscriptions/{arm.subscription}", {"api-version": "2025-04-01"}
        after = [client.get(f"{prefix}/{path}", params=version).json() for path in ("resources", vm, "resourcegroups")]
        assert after == before
    finally:
        control.stop()
