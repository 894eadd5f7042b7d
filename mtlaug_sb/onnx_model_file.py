"""A model of waveforms in an ONNX file: what it takes and gives."""

import pathlib

import numpy as np
import torch

NUMBERS = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def read_file(path):
    """The content of a file, bytes; a FileNotFoundError that says where to get one."""
    try:
        return pathlib.Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError, TypeError):
        raise FileNotFoundError(
            f"there is no file '{path}'; give the path of a speech encoder in ONNX, or get one by recipes/fetch_moonshine.py"
        ) from None


def open_session(content, path):
    """An onnxruntime session of a model's content; a ValueError with the file's name if it cannot be read."""
    try:
        import onnxruntime
    except ImportError:
        raise ImportError("features/onnx needs the package 'onnxruntime': pip install 'mtlaug_sb[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a class for each of many reasons, with no common one
        raise ValueError(f"'{path}' is no ONNX model that onnxruntime can read: {' '.join(str(error).split())}") from None


def find_inputs(session, path):
    """(name, dimensions) of the waveform's input, and [(name, type)] of masks; a ValueError if there are others."""
    inputs = session.get_inputs()
    waveforms = [(i.name, len(i.shape)) for i in inputs if i.type == "tensor(float)" and len(i.shape) in (2, 3)]
    masks = [
        (i.name, NUMBERS[i.type]) for i in inputs if i.type in NUMBERS and i.type != "tensor(float)" and len(i.shape) == 2
    ]
    if len(waveforms) != 1 or len(masks) + 1 != len(inputs):
        listed = ", ".join(f"'{i.name}' {i.type} {i.shape}" for i in inputs)
        raise ValueError(
            f"'{path}' must have one input of float [batch, time], and besides it only masks of whole numbers "
            f"[batch, time]; it has {listed}"
        )
    return waveforms[0], masks


def find_layers(session, wanted, path):
    """Names of the outputs ``wanted``, each by name or number, None being all; a ValueError lists them if one is missing."""
    names = [o.name for o in session.get_outputs()]
    chosen = (
        names if wanted is None else [names[w] if type(w) is int and -len(names) <= w < len(names) else w for w in wanted]
    )
    wrong = [layer for layer in chosen if layer not in names]
    if wrong or not chosen:
        raise ValueError(f"'{path}' has no layer {wrong[0] if wrong else chosen!r}; its outputs are {', '.join(names)}")
    return chosen
