"""Recipes → bootable disk images, from a distribution's signed packages, without root's rights and without mounts."""

from skerry.imagebuilder.build import Progress, build, built
from skerry.imagebuilder.cache import default_cache
from skerry.imagebuilder.errors import BuildError, DiskFull, UnknownRecipe
from skerry.imagebuilder.recipes import RECIPES, Recipe

__all__ = [
    "RECIPES",
    "BuildError",
    "DiskFull",
    "Progress",
    "Recipe",
    "UnknownRecipe",
    "build",
    "built",
    "default_cache",
]
