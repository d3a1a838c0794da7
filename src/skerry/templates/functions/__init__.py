"""The functions of the template language, by name.

Each module registers its own with the `function` decorator; `find` looks one up without regard to case.
Behaviour is that of Azure's "ARM template functions" reference, unless a docstring says otherwise.
"""

from __future__ import annotations

from skerry.templates.functions import collections as _collections
from skerry.templates.functions import dates as _dates
from skerry.templates.functions import deployment as _deployment
from skerry.templates.functions import encoding as _encoding
from skerry.templates.functions import logical as _logical
from skerry.templates.functions import numeric as _numeric
from skerry.templates.functions import resources as _resources
from skerry.templates.functions import strings as _strings
from skerry.templates.functions.registry import Function, find

_MODULES = (_collections, _dates, _deployment, _encoding, _logical, _numeric, _resources, _strings)

__all__ = ["Function", "find"]
