"""A trained model in use: files, folders, long recordings, and handing it to others.

Names are imported on first use: ``mtlaug_sb.inference.onnx_model`` works where torch is not installed.
"""

import importlib

_HOME = {
    "AudioError": "sound_file",
    "EmotionRecognizer": "recognizer",
    "ModelError": "description",
    "OnnxModel": "onnx_model",
    "Segment": "segments",
}
__all__ = ["AudioError", "EmotionRecognizer", "ModelError", "OnnxModel", "Segment"]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"mtlaug_sb.inference has no '{name}'; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"mtlaug_sb.inference.{_HOME[name]}"), name)
