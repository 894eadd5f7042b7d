"""Imports go down only."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "mtlaug_sb"
# floor -> modules (or packages) on it; a module imports lower floors, and its own only where that is said
FLOORS = {
    0: [
        "masking",
        "onnx_model_file",
        "task_checks",
        "acoustics",
        "resynthesis",
        "averages",
        "atomic",
        "checkpoints",
        "processes",
        "schedule",
        "voice",
        "corpus_files",
        "experiment",
        "frame_batch_norm",
        "front_end_layers",
        "matrix_log",
        "plugin_files",
        "plugin_arguments",
        "plugin_packages",
        "plugin_places",
        "published_counts",
        "recordings",
        "unicode_form",
        "temperature",
        "class_statistics",
        "interfaces",
        "full_precision",
    ],
    1: [
        "registry",
        "corpus_table",
        "attention",
        "added_noise",
        "deltas",
        "own_scale",
        "silence",
        "statistics_pooling",
        "discriminant",
        "normalization",
        "feature_cache",
    ],
    2: [
        "baselines",
        "testing",
        "corpora",
        "augment",
        "features",
        "encoders",
        "heads",
        "losses",
        "weighting",
        "metrics",
        "targets",
    ],
    3: ["task", "policy", "history", "steady_brain", "options", "plugin_help"],
    4: ["encoder_input", "dataio", "evaluation"],
    5: ["inference", "brain"],
    6: ["robustness"],
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
BESIDE = {
    "dataio",
    "evaluation",
    "inference",
    "robustness",
    "testing",
    "plugin_help",
}  # packages whose files may import one another


def modules():
    return [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            assert package not in ("recipes", "plugins", "tests"), f"{path} imports {name}"
            if package == "mtlaug_sb" and rest:
                other = rest.split(".")[0]
                allowed = FLOOR[other] < FLOOR[own] or (other == own and own in BESIDE)
                assert allowed, f"{own} (floor {FLOOR[own]}) imports {other} (floor {FLOOR[other]})"


def test_every_module_has_a_floor():
    assert {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in modules()} == set(FLOOR)


def test_the_loop_names_no_task_head_loss_or_augmentation():
    from mtlaug_sb import plugins

    words = set()
    for node in ast.walk(ast.parse((PACKAGE / "brain.py").read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
        elif isinstance(node, ast.Name | ast.Attribute):
            words.add(node.id if isinstance(node, ast.Name) else node.attr)
    taken = {name for kind, name in plugins() if kind in ("head", "loss", "augmentation", "encoder", "corpus")}
    assert not words & (taken | {"emotion", "reconstruction"})
