"""Choosing a host for a VM: pure, fast among many hosts, and able to say why each other host was turned down."""

from skerry.placement.index import Index
from skerry.placement.request import VCPU_RATIO, Choice, HostState, Request, explain, reasons, sentence

__all__ = ["VCPU_RATIO", "Choice", "HostState", "Index", "Request", "explain", "reasons", "sentence"]
