"""Restore points by way of the SDK. Prints what it saw as JSON. Run with the SDKs' Python: GROUP, VM."""

import json
import os
import sys

from azure.core.exceptions import HttpResponseError  # type: ignore[import-not-found]
from azure.identity import ClientSecretCredential  # type: ignore[import-not-found]
from azure.mgmt.compute import ComputeManagementClient  # type: ignore[import-not-found]


def main(group: str, vm: str) -> None:
    """Make a collection, a point and a disk of it; read all; delete."""
    base = os.environ["AZURE_AUTHORITY_HOST"]
    credential = ClientSecretCredential(
        "adfs",
        os.environ["AZURE_CLIENT_ID"],
        os.environ["AZURE_CLIENT_SECRET"],
        authority=base,
        disable_instance_discovery=True,
    )
    compute = ComputeManagementClient(
        credential, os.environ["AZURE_SUBSCRIPTION_ID"], base_url=base, credential_scopes=[f"{base}/.default"]
    )
    source = compute.virtual_machines.get(group, vm)
    body = {"location": source.location, "properties": {"source": {"id": source.id}}}
    compute.restore_point_collections.create_or_update(group, "sdk", body)
    point = compute.restore_points.begin_create(group, "sdk", "one", {}).result()
    disk = point.properties.source_metadata.storage_profile.os_disk
    creation = {"createOption": "Restore", "sourceResourceId": disk.disk_restore_point.id}
    made = compute.disks.begin_create_or_update(
        group, "sdk", {"location": source.location, "properties": {"creationData": creation}}
    ).result()
    view = compute.restore_points.get(group, "sdk", "one", expand="instanceView").properties.instance_view
    listed = compute.disk_restore_point.list_by_restore_point(group, "sdk", "one")
    expanded = compute.restore_point_collections.get(group, "sdk", expand="restorePoints").properties
    seen = {
        "vm": point.properties.source_metadata.vm_id == source.properties.vm_id,
        "mode": point.properties.consistency_mode,
        "disk": made.properties.disk_size_gb == disk.disk_size_gb,
        "status": view.statuses[0].code,
        "disks": [found.id for found in listed] == [disk.disk_restore_point.id],
        "points": [found.name for found in expanded.restore_points],
        "refused": _refusal(compute, group),
    }
    compute.restore_point_collections.begin_delete(group, "sdk").result()
    seen["left"] = [found.name for found in compute.restore_point_collections.list(group) if found.name == "sdk"]
    print(json.dumps(seen))


def _refusal(compute: "ComputeManagementClient", group: str) -> str:
    body = {"properties": {"consistencyMode": "ApplicationConsistent"}}
    try:
        compute.restore_points.begin_create(group, "sdk", "two", body).result()
    except HttpResponseError as error:
        return str(error.error.code)
    return "none"


main(*sys.argv[1:])
