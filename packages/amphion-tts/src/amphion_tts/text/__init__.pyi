from .config import FrontEndConfig as FrontEndConfig
from .frontend import FrontEnd as FrontEnd
from .frontend import make_frontend as make_frontend
from .normalize import normalize_english as normalize_english
from .sentences import split_sentences as split_sentences
