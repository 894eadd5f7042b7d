#!/usr/bin/env python3
"""Get a small pretrained speech encoder: python recipes/fetch_moonshine.py FOLDER

Downloads the npm package @moonshine-ai/moonshine-js (MIT licence, 21 MB) from the npm registry, checks it, and writes into
the folder: moonshine_tiny.onnx, the encoder of Moonshine-tiny (Jeffries et al. 2024), whose outputs are layer_0 (before the
first of its blocks) to layer_6 (after the last), each [batch, frames, 288] at some 41 frames a second; and LICENSE. For
hparams/mtl_aug_pretrained.yaml. Needs pip install -e ".[onnx]".

The registry is npm's, where npm is installed, with all its settings; else that of NPM_CONFIG_REGISTRY; else the public one.

  --package=FILE   the package's .tgz, downloaded before, instead
"""

import argparse
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request

from mtlaug_sb.atomic import write_atomically

PACKAGE, VERSION = "@moonshine-ai/moonshine-js", "0.1.29"
SHA512 = (
    "1b1d41de625c6ccebc8a14b2fcbc8912e1241aaeec60ca936f4e3335d7087a27"
    "54d144559529973f41b28903934c0a836505e5202ee4f9b932f8575793450f96"
)
MODEL, LICENSE = "package/dist/model/tiny/quantized/encoder_model.onnx", "package/LICENSE"
# the residual stream: before the first block, and after each
LAYERS = ["/Transpose_output_0", *[f"/layers.{i}/Add_1_output_0" for i in range(6)]]


def main(arguments):
    """Write the files; returns the model's path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--package", type=pathlib.Path)
    own = parser.parse_args(arguments)
    data = own.package.read_bytes() if own.package else download(f"{PACKAGE}@{VERSION}")
    found = hashlib.sha512(data).hexdigest()
    if found != SHA512:
        raise ValueError(
            f"{PACKAGE} {VERSION} is not what was expected: its SHA-512 is {found[:16]}..., not {SHA512[:16]}..."
        )
    with tarfile.open(fileobj=io.BytesIO(data)) as package:
        model, licence = (package.extractfile(name).read() for name in (MODEL, LICENSE))
    own.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(own.folder / "LICENSE", licence)
    path = own.folder / "moonshine_tiny.onnx"
    write_atomically(path, with_outputs(model, LAYERS))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return path


def download(package):
    """The package's .tgz, bytes, of "name@version"."""
    if npm := shutil.which("npm"):
        with tempfile.TemporaryDirectory() as folder:
            command = [npm, "pack", package, "--silent", f"--pack-destination={folder}"]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            files = list(pathlib.Path(folder).glob("*.tgz"))
            if done.returncode or len(files) != 1:
                raise OSError(f"npm pack {package} failed: {' '.join(done.stderr.split())[:300] or 'it wrote no package'}")
            return files[0].read_bytes()
    name, _, version = package.rpartition("@")
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org")
    url = f"{registry.rstrip('/')}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise OSError(f"{url}: {error}; or download it otherwise, and name it: --package=FILE") from None


def with_outputs(model, tensors):
    """The model, bytes, with tensors of its graph as its outputs, called layer_0, layer_1, ... in their order.

    Raises
    ------
    ValueError
        If it has no such tensor.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError("this needs the package 'onnx': pip install -e '.[onnx]'") from None
    model = onnx.load_from_string(model)
    graph = model.graph
    there = {name for node in graph.node for name in node.output}
    if missing := [name for name in tensors if name not in there]:
        raise ValueError(f"the model has no tensor '{missing[0]}'")
    del graph.output[:]
    for i, tensor in enumerate(tensors):
        graph.node.append(onnx.helper.make_node("Identity", [tensor], [f"layer_{i}"]))
        shape = ["batch", "frames", None]
        graph.output.append(onnx.helper.make_tensor_value_info(f"layer_{i}", onnx.TensorProto.FLOAT, shape))
    return (
        onnx.utils.Extractor(model)
        .extract_model([i.name for i in graph.input], [o.name for o in graph.output])
        .SerializeToString()
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
