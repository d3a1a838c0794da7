"""Tags and names can be looked up, hosts know what is used of them, operations and requests leave a history."""

import msgspec
import sqlalchemy as sa
from alembic import op

from skerry.hostspec import VmSpec
from skerry.store import tables

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply this revision."""
    for name in ("tags", "activity", "leases", "settings"):
        tables.metadata.tables[name].create(op.get_bind())
    op.create_index("resources_in_group", "resources", ["group_key", "key"])
    op.create_index("resources_by_name", "resources", [sa.text("lower(name)"), "key"])
    op.create_index("resources_by_location", "resources", [tables.bare_location(), "type", "key"])
    for name in ("correlation_id", "request_id", "caller"):
        op.add_column("operations", sa.Column(name, tables.String, nullable=False, server_default=""))
    op.add_column("operations", sa.Column("trace", sa.LargeBinary(), nullable=True))
    op.drop_column("operations", "on_report")
    op.add_column("operations", sa.Column("waits_for", tables.String, nullable=False, server_default=""))
    op.create_index("operations_waiting", "operations", ["waits_for", "status"])
    op.add_column("hosts", sa.Column("used_vcpus", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("hosts", sa.Column("used_memory", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("hosts", sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("hosts_by_sequence", "hosts", ["sequence"])
    behind = sa.text("revision > applied")
    op.create_index("hosts_behind", "hosts", ["id"], sqlite_where=behind, postgresql_where=behind)
    op.add_column("host_specs", sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("host_specs_by_revision", "host_specs", ["host", "revision"])
    op.create_index("host_observed_by_kind", "host_observed", ["kind", "id"])
    op.add_column("host_observed", sa.Column("power", tables.String, nullable=False, server_default=""))
    op.create_index("host_observed_by_power", "host_observed", ["kind", "power"])
    if op.get_bind().dialect.name == "postgresql":
        # A row changes a few times right after it was made: with room for that on its page no index is written again.
        op.execute("ALTER TABLE resources SET (fillfactor = 60)")
    _fill_tags(op.get_bind())
    _fill_disks(op.get_bind())
    _fill_hosts(op.get_bind())


def _fill_tags(connection: sa.Connection) -> None:
    resources, tags = tables.resources, tables.tags
    for row in connection.execute(sa.select(resources.c.key, resources.c.body)).all():
        # The first release took names that differ in nothing but case.
        found = {name.lower(): value for name, value in (msgspec.json.decode(row.body).get("tags") or {}).items()}
        rows = [{"resource": row.key, "name": name, "value": value} for name, value in found.items()]
        if rows:
            connection.execute(sa.insert(tags), rows)


def _fill_disks(connection: sa.Connection) -> None:
    """Until now there was one host, which has the files of all disks."""
    resources, host = tables.resources, connection.execute(sa.select(tables.hosts.c.id)).scalar()
    query = sa.select(resources.c.key, resources.c.private).where(resources.c.type == "microsoft.compute/disks")
    for row in connection.execute(query).all():
        private = msgspec.json.encode({**msgspec.json.decode(row.private), "host": host})
        connection.execute(sa.update(resources).where(resources.c.key == row.key).values(private=private))


def _fill_hosts(connection: sa.Connection) -> None:
    """What is used of each host; every spec object counts as changed at its host's present revision."""
    hosts, specs = tables.hosts, tables.host_specs
    for number, host in enumerate(connection.execute(sa.select(hosts.c.id, hosts.c.revision)).all(), start=1):
        query = sa.select(specs.c.spec).where(specs.c.host == host.id, specs.c.kind == "vm")
        vms = [msgspec.json.decode(spec, type=VmSpec) for spec in connection.execute(query).scalars()]
        used = {"used_vcpus": sum(vm.vcpus for vm in vms), "used_memory": sum(vm.memory_bytes for vm in vms)}
        connection.execute(sa.update(hosts).where(hosts.c.id == host.id).values(**used, sequence=number))
        connection.execute(sa.update(specs).where(specs.c.host == host.id).values(revision=host.revision))
