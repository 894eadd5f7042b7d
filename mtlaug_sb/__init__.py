"""mtlaug_sb: multi-task learning from augmented auxiliary data for speech emotion recognition, on SpeechBrain."""

from mtlaug_sb.plugin_files import load_plugins
from mtlaug_sb.registry import describe, make, plugins, register

__version__ = "0.1.0"
__all__ = ["describe", "load_plugins", "make", "plugins", "register"]
