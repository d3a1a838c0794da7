"""Warm starts: a new VM continues from the memory of a template that was booted once, and gets an identity of its own.

STATE/templates/ID/{template.json,ram,state,disk.qcow2[,OVMF_VARS.fd]}   complete: the folder appears by a rename
STATE/templates/.ID/                                                     being made, or left by a kill
"""
