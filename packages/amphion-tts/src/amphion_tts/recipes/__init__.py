"""Recipes of this package, one YAML file each."""
