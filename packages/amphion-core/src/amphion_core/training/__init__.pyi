from .config import OptimizerConfig as OptimizerConfig
from .config import ScheduleConfig as ScheduleConfig
from .config import TrainerConfig as TrainerConfig
from .task import Progress as Progress
from .task import Sample as Sample
from .task import Task as Task
