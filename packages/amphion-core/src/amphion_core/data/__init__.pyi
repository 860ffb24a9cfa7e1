from .config import BatchConfig as BatchConfig
from .config import DataConfig as DataConfig
from .config import SourceConfig as SourceConfig
