"""Durable operations: lease, step, retry, deadline. Knows no resource type."""
