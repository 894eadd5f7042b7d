"""The benchmark measures what it says: own times of parts, ratios by turns, the toolkit's very modules in a bare loop."""

import argparse
import copy

import pytest
import torch


@pytest.fixture
def options(tiny_corpus):
    import benchmark

    arguments = ["--device=cpu", "--rounds=2", "--fill=1", "--only=steps", "--corpus=synthetic"]
    made = benchmark.parse([*arguments, f"--data_folder={tiny_corpus}"])
    made.small = {
        "corpus_options": {"n_speakers": 4, "n_utterances": 2},
        "n_valid_speakers": 1,
        "batches": {"batch_size": 8},
    }
    return made


def test_a_part_has_its_own_time_only(monkeypatch):
    from benchmarks import parts

    now = [0.0]
    monkeypatch.setattr(parts.time, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    class Owner:
        def inner(self):
            wait(5.0)

        def outer(self):
            wait(2.0)
            self.inner()
            wait(2.0)

    clock, owner = parts.Clock(), Owner()
    with clock.watching("in", owner, "inner"), clock.watching("out", Owner, "outer"):
        owner.outer()
    assert clock.seconds == {"out": 4.0, "in": 5.0}
    assert "inner" not in vars(owner)
    owner.outer()
    assert clock.seconds["in"] == 5.0  # no longer watched


def test_ratios_are_those_of_the_same_turn():
    from benchmarks.setting import ratio

    # a machine that slows down tenfold half-way
    assert ratio({"a": [1.0, 1.0, 10.0, 10.0], "b": [2.0, 2.0, 20.0, 20.0]}, "b", "a") == 2.0


def test_a_turn_is_there_and_back():
    from benchmarks.setting import in_turns

    order = []
    times = in_turns({name: lambda name=name: order.append(name) for name in "abc"}, rounds=2, warm_up=1)
    assert order == 3 * list("abccba")
    assert {name: len(each) for name, each in times.items()} == dict.fromkeys("abc", 2)


def test_the_bare_loop_does_what_the_toolkit_does(options, tmp_path):
    """The same batch, draws and weights: the same gradient step."""
    from benchmarks.bare_loop import BareLoop
    from benchmarks.setting import Setting

    setting = Setting(options, tmp_path, cache_mb=0, **options.small)
    for module in [*setting.hparams["modules"].values(), *setting.brain.tasks.values()]:
        module.eval()  # no dropout; losses that remember do not
    bare_setting = copy.copy(setting)
    shared = ("modules", "tasks", "augmentation", "targets", "max_grad_norm")
    bare_setting.hparams = copy.deepcopy({key: setting.hparams[key] for key in shared})
    bare_setting.hparams["opt_class"] = setting.hparams["opt_class"]
    bare = BareLoop(bare_setting)
    setting.brain.optimizer.param_groups[0]["base_lr"] = setting.hparams["lr"] / setting.hparams["lr_curve"](0.0)
    setting.step()
    bare.step()
    ours, theirs = setting.hparams["modules"]["encoder"], bare.modules["encoder"]
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_sections_give_their_figures(options, tmp_path, monkeypatch):
    from benchmarks import parts, peak, precision, setting, steps, waits

    original = setting.Setting.__init__
    monkeypatch.setattr(
        setting.Setting, "__init__", lambda self, o, f, **more: original(self, o, f, **{**options.small, **more})
    )
    found = steps.measure(options)
    assert set(found["step_ms"]) == {"toolkit", "toolkit without caches", "bare loop", "stock SpeechBrain"}
    assert "times as fast as the stock recipe" in "\n".join(steps.show(found))
    found = parts.measure(options)
    for shares in (r["shares"] for r in found.values()):
        assert sum(shares.values()) == pytest.approx(1.0)
        assert min(shares[p] for p in ("reading", "augmentation", "features", "encoder", "backward", "logging")) > 0
    assert len(list(parts.show(found))) == len(parts.PARTS) + 2
    monkeypatch.setattr(precision, "WAYS", {name: precision.WAYS[name] for name in ("fp32", "bf16")})
    found = precision.measure(options)
    assert found["times_as_fast_as_fp32"]["fp32"] == 1.0
    assert "bf16" in list(precision.show(found))[1]
    options.steps = 3
    found = waits.measure(options)
    assert 5 < found["waits_a_step_without_caches"] < 25
    assert sum(place["a_step"] for place in found["places"]) == pytest.approx(found["waits_a_step"])
    of_loop = [place["a_step"] for place in found["places"] if place["where"].startswith("mtlaug_sb/steady_brain.py:")]
    assert of_loop == [1.0, 1.0]  # the gradient's norm and the loss: what came before the steps does not count
    found = peak.measure(options)
    assert found["flop_of_a_step"] > 1e7
    assert 0 < found["fraction"] < 1


def test_a_grown_manifest_can_be_trained_on(tmp_path, monkeypatch):
    from benchmarks import growth

    from mtlaug_sb.corpora.folder import Folder
    from mtlaug_sb.dataio import corpus_manifest
    from mtlaug_sb.dataio.audio import AudioReader

    monkeypatch.setattr(corpus_manifest, "MANY", 100)
    monkeypatch.setattr(growth, "MANY", 100)
    records = corpus_manifest.build_manifest(Folder(), growth.write_table(tmp_path, 300), AudioReader())
    assert len(records) == 300
    assert len(set(records.hashes("recording", "path").tolist())) == 300
    assert set(records.counts("emotion")) == set(growth.CLASSES)
    assert not records.counts("recording").keys() - {None}


def test_unknown_sections_are_named():
    import benchmark

    with pytest.raises(ValueError, match="--only: no section 'speed'; the sections are steps, parts"):
        benchmark.main(["--only=speed"])
    with pytest.raises(ValueError, match="--corpus=ravdess needs --data_folder"):
        benchmark.main(["--corpus=ravdess"])
    assert isinstance(benchmark.machine(argparse.Namespace(device="cpu", threads=1))["cores"], int)


def test_cells_per_minute_are_counted_with_their_start(options, monkeypatch):
    from benchmarks import grid

    now, asked = [0.0], []

    def run(options, data, folder, jobs, more):
        asked.append((jobs, more[0]))
        now[0] += 60.0 / jobs

    monkeypatch.setattr(grid, "run", run)
    monkeypatch.setattr(grid.time, "perf_counter", lambda: now[0])
    found = grid.measure(options)
    assert asked == [(1, "--folds=2"), (1, "--folds=4"), (2, "--folds=4")]  # the first makes the corpus
    assert (found["cells_per_minute"], found["speed_up"]) == ({1: 4.0, 2: 8.0}, {2: 2.0})
    assert "2 at a time: 8.00 cells a minute, 2.00 times the first" in "\n".join(grid.show(found))
