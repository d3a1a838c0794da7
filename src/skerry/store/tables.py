"""The tables. Resources are rows of one table whose `body` is the JSON that a GET answers; nothing knows their types.

Keys are ids in lower case. Times are seconds since the epoch (UTC).
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    func,
    literal_column,
)
from sqlalchemy import String as AnyString
from sqlalchemy.sql.functions import Function

metadata = MetaData()

# Keys are compared by code point, as SQLite does: pages go on after a key, and prefixes find what is below one.
String = AnyString().with_variant(AnyString(collation="C"), "postgresql")

resources = Table(
    "resources",
    metadata,
    Column("key", String, primary_key=True),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),  # lower case
    Column("group_key", String, nullable=False),  # the resource group's key; its own for a group
    Column("parent", String, nullable=False, default=""),
    Column("name", String, nullable=False),
    Column("location", String, nullable=False, default=""),
    Column("etag", String, nullable=False),
    Column("state", String, nullable=False),  # provisioningState
    Column("operation", String, nullable=False, default=""),  # the operation that owns the resource now
    Column("body", LargeBinary, nullable=False),  # JSON, as GET shows it
    Column("private", LargeBinary, nullable=False, default=b"{}"),  # JSON, never shown
    Column("created", Float, nullable=False),
    Column("changed", Float, nullable=False),
)
Index("resources_by_type", resources.c.type, resources.c.key)
Index("resources_by_group", resources.c.group_key, resources.c.type, resources.c.key)
Index("resources_by_parent", resources.c.parent, resources.c.type)
Index("resources_in_group", resources.c.group_key, resources.c.key)
Index("resources_by_name", func.lower(resources.c.name), resources.c.key)


def bare_location() -> Function[str]:
    """A resource's location as it is compared: without spaces, in lower case."""
    return func.lower(func.replace(resources.c.location, literal_column("' '"), literal_column("''")))


Index("resources_by_location", bare_location(), resources.c.type, resources.c.key)

tags = Table(
    "tags",
    metadata,
    Column("resource", String, ForeignKey("resources.key", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),  # lower case
    Column("value", String, nullable=False),
)
Index("tags_by_name", tags.c.name, tags.c.value, tags.c.resource)
Index("tags_in_order", tags.c.name, tags.c.resource)

links = Table(
    "links",
    metadata,
    Column("source", String, ForeignKey("resources.key", ondelete="CASCADE"), primary_key=True),
    Column("target", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("place", String, primary_key=True, default=""),  # the id of the part of the source that refers
)
Index("links_by_target", links.c.target, links.c.kind)

operations = Table(
    "operations",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("target", String, nullable=False),  # the resource's key
    Column("target_id", String, nullable=False),
    Column("step", String, nullable=False),
    Column("state", LargeBinary, nullable=False, default=b"{}"),  # JSON, carried from step to step
    Column("status", String, nullable=False),  # InProgress, Succeeded, Failed, Canceled
    Column("error", LargeBinary),  # JSON of an ErrorDetail
    Column("result", LargeBinary),  # JSON, what `Location` answers in the end
    Column("resume_at", Float, nullable=False),
    Column("waits_for", String, nullable=False, server_default=""),  # the host whose report it resumes at
    Column("deadline", Float, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("correlation_id", String, nullable=False, server_default=""),  # of the request that started it
    Column("request_id", String, nullable=False, server_default=""),
    Column("caller", String, nullable=False, server_default=""),
    Column("trace", LargeBinary),  # JSON, the steps taken
)
Index("operations_due", operations.c.status, operations.c.resume_at)
Index("operations_waiting", operations.c.waits_for, operations.c.status)
Index("operations_by_target", operations.c.target)
Index("operations_ended", operations.c.ended)

hosts = Table(
    "hosts",
    metadata,
    Column("id", String, primary_key=True),
    Column("revision", Integer, nullable=False),  # of the spec
    Column("applied", Integer, nullable=False, default=0),  # the revision that the agent reported
    Column("capacity", LargeBinary),  # JSON of a HostCapacity
    Column("seen", Float, nullable=False, default=0.0),
    Column("used_vcpus", Integer, nullable=False, server_default="0"),  # of the VMs in its spec
    Column("used_memory", BigInteger, nullable=False, server_default="0"),  # bytes
    Column(
        "sequence", BigInteger, nullable=False, server_default="0"
    ),  # rises when capacity or used_… changes; the newest host has the highest
)
Index("hosts_by_sequence", hosts.c.sequence)
_BEHIND = hosts.c.revision > hosts.c.applied
Index("hosts_behind", hosts.c.id, sqlite_where=_BEHIND, postgresql_where=_BEHIND)

host_specs = Table(
    "host_specs",
    metadata,
    Column("host", String, ForeignKey("hosts.id"), primary_key=True),
    Column("kind", String, primary_key=True),  # vm, vnet, disk, checkpoint, template
    Column("id", String, primary_key=True),
    Column("spec", LargeBinary, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default="0"),  # of the host's spec, when this came or changed
)
Index("host_specs_by_revision", host_specs.c.host, host_specs.c.revision)

host_observed = Table(
    "host_observed",
    metadata,
    Column("host", String, ForeignKey("hosts.id"), primary_key=True),
    Column("kind", String, primary_key=True),  # vm, disk, checkpoint, image, problem, warm, standby
    Column("id", String, primary_key=True),
    Column("observed", LargeBinary, nullable=False),
    Column("power", String, nullable=False, server_default=""),  # of a VM
)
Index("host_observed_by_power", host_observed.c.kind, host_observed.c.power)
Index("host_observed_by_kind", host_observed.c.kind, host_observed.c.id)

activity = Table(
    "activity",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("resource", String, nullable=False),  # the key of what it is about
    Column("group_key", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("caller", String, nullable=False),  # lower case, as the next
    Column("status", String, nullable=False),
    Column("event", LargeBinary, nullable=False),  # JSON, see arm/activity.py
)
Index("activity_by_time", activity.c.at)
Index("activity_by_group", activity.c.group_key, activity.c.at)
Index("activity_by_resource", activity.c.resource, activity.c.at)
Index("activity_by_correlation", activity.c.correlation_id, activity.c.at)
Index("activity_by_caller", activity.c.caller, activity.c.at)
Index("activity_by_status", activity.c.status, activity.c.at)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
