"""Checkpoints of users' VMs, and the VMs that are put back to them or forked from them. See docs/checkpoints.md."""
