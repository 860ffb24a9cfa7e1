"""The networks that metrics use: each module imports its framework, so modules are imported when a model is loaded."""
