"""Recipes of this package: YAML files that `amphion recipes` lists."""
