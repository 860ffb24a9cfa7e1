from .conformance import check_codec as check_codec
from .conformance import check_task as check_task
from .conformance import check_vocoder as check_vocoder
from .golden import Case as Case
from .resume import check_resume as check_resume
