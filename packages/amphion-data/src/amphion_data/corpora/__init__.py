"""The corpora of the field, one module each: what they look like on disk, what is wrong with them, their rows."""
