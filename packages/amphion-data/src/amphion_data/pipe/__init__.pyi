from .run import PipeReport as PipeReport
from .run import run_pipe as run_pipe
from .run import status as status
from .settings import PipeSettings as PipeSettings
from .units import plan_units as plan_units
