"""Choosing a host for a VM: pure functions that can say why each other host was turned down."""

from skerry.placement.choose import VCPU_RATIO, Choice, HostState, Request, choose, explain

__all__ = ["VCPU_RATIO", "Choice", "HostState", "Request", "choose", "explain"]
