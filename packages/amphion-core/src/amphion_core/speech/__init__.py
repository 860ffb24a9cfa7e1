"""Networks about speech that evaluation and data sets share; each needs an extra, and is imported where it is used."""
