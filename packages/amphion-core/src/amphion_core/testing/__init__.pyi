from .golden import Case as Case
