from .engine import Engine as Engine
from .engine import Outcome as Outcome
from .engine import Step as Step
from .engine import make_engine as make_engine
from .in_process import InProcessEngine as InProcessEngine
from .on_ray import RayEngine as RayEngine
from .process_pool import ProcessPoolEngine as ProcessPoolEngine
