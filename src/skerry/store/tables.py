"""The tables. Resources are rows of one table whose `body` is the JSON that a GET answers; nothing knows their types.

Keys are ids in lower case. Times are seconds since the epoch (UTC).
"""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

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
    Column("on_report", Boolean, nullable=False, default=False),  # resume as soon as a host reports
    Column("deadline", Float, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
)
Index("operations_due", operations.c.status, operations.c.resume_at)
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
)

host_specs = Table(
    "host_specs",
    metadata,
    Column("host", String, ForeignKey("hosts.id"), primary_key=True),
    Column("kind", String, primary_key=True),  # vm, vnet, disk
    Column("id", String, primary_key=True),
    Column("spec", LargeBinary, nullable=False),
)

host_observed = Table(
    "host_observed",
    metadata,
    Column("host", String, ForeignKey("hosts.id"), primary_key=True),
    Column("kind", String, primary_key=True),  # vm, disk, image, problem
    Column("id", String, primary_key=True),
    Column("observed", LargeBinary, nullable=False),
)
