"""What can go wrong while an image is built.

BuildError          the image wasn't built; the message says why, and that nothing was left behind
├── UnknownRecipe   no such image
└── DiskFull        the cache or the work folder has too little room; the message says which and how much it takes
"""


class BuildError(Exception):
    """The image wasn't built. Nothing half-made is left under its final name."""


class UnknownRecipe(BuildError):
    """There is no recipe of that name."""


class DiskFull(BuildError):
    """Too little room on a disk."""
