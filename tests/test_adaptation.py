"""A network on the statistics of what it is tested with."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from small_model import write_small_model

from mtlaug_sb import make
from mtlaug_sb.baselines.linear_svm import standardiser
from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.inference.adaptation import adapt, statistics_of
from mtlaug_sb.inference.network import Network
from mtlaug_sb.normalization import GlobalNormalization
from mtlaug_sb.robustness.cells import Utterance
from mtlaug_sb.robustness.speaker_by_speaker import SpeakerBySpeaker, by_speaker, draw_enrolment
from mtlaug_sb.robustness.systems import TrainedNetwork


def adapted(folder, batch_size, **options):
    system = TrainedNetwork(folder, batch_size=batch_size)
    system.adapt_to({"all": utterances()}, **options)
    return system


def utterances():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, generator=generator) * 0.1 for n in (16000, 9000, 12345, 7000, 20000)]


def test_every_normalisation_gives_the_target_mean_0_and_variance_1(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    before = {k: v.clone() for k, v in TrainedNetwork(folder).network.state_dict().items()}
    system = adapted(folder, batch_size=2)
    norms = [m for m in system.network.modules() if isinstance(m, FrameBatchNorm)]
    assert len(norms) == 4  # two convolutions, the head's functionals, the discriminant analysis' vectors
    outputs = [[] for _ in norms]
    for norm, kept in zip(norms, outputs, strict=True):
        norm.register_forward_hook(lambda m, _, out, kept=kept: kept.append((out - m.bias) / m.weight if m.affine else out))
    system.probabilities(utterances())
    for norm, kept in zip(norms, outputs, strict=True):
        rows = torch.cat(kept)
        lively = norm.running_var > 1e-3  # beside that, the epsilon of the norm shows
        assert lively.any()
        assert torch.allclose(rows.mean(0), torch.zeros(rows.shape[1]), atol=2e-3)
        assert torch.allclose(rows.var(0, correction=0)[lively], torch.ones(int(lively.sum())), atol=2e-2)
    changed = {k for k, v in system.network.state_dict().items() if not torch.equal(v, before[k])}
    assert {k.rsplit(".", 1)[1] for k in changed} == {"mean", "std", "running_mean", "running_var"}


@pytest.mark.parametrize("self_training", [False, True])
def test_the_batches_do_not_matter(tmp_path, self_training):
    folder = write_small_model(tmp_path / "model", functionals=True)
    one, all_at_once = (adapted(folder, n, self_training=self_training).probabilities(utterances()) for n in (1, 5))
    assert torch.allclose(one, all_at_once, atol=1e-3 if self_training else 1e-4)


def test_self_training_solves_for_what_the_analysis_sees(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    system, plain = adapted(folder, 2, self_training=True), adapted(folder, 2)
    seen = []
    head = plain.network.heads["emotion"]
    head.analysis.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0].clone()))
    plain.probabilities(utterances())
    head.analysis.adapt(head.analysis.norm(torch.cat(seen)))
    mine, its = head.analysis.state_dict(), system.network.heads["emotion"].analysis.state_dict()
    for name, value in mine.items():
        torch.testing.assert_close(its[name], value, rtol=1e-2, atol=1e-3)


def of_two_speakers(folder, **options):
    """A system that has adapted to two, and what they said."""
    first, second = utterances()[:3], [wav * 20 for wav in utterances()[2:]]
    system = TrainedNetwork(folder, batch_size=2)
    system.adapt_to({"first": first, "second": second}, **options)
    return system, {"first": first, "second": second}


@pytest.mark.parametrize("relevance", [0.0, 8.0])
def test_each_speaker_has_statistics_of_their_own(tmp_path, relevance):
    folder = write_small_model(tmp_path / "model", functionals=True)
    system, said = of_two_speakers(folder, relevance=relevance)
    for speaker in ("first", "second", "first"):
        alone = TrainedNetwork(folder, batch_size=2)
        alone.adapt_to({speaker: said[speaker]}, relevance=relevance)
        system.turn_to(speaker)
        assert torch.equal(system.probabilities(said[speaker]), alone.probabilities(said[speaker]))


def test_statistics_count_as_much_as_the_utterances_are_relevant(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    own = statistics_of(TrainedNetwork(folder).network)
    norms = [statistics_of(adapted(folder, 2, relevance=relevance).network)[0] for relevance in (0, 15)]
    for name, buffer in norms[1].items():  # of five utterances
        torch.testing.assert_close(buffer, 0.25 * norms[0][name] + 0.75 * own[0][name])
    nearly = statistics_of(adapted(folder, 2, relevance=1e9).network)
    for ours, theirs in zip(nearly, own, strict=True):
        assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)


def test_functionals_of_a_speaker_beside_those_of_the_training():
    few, training = np.random.default_rng(0).normal(3, 2, (4, 5)), np.random.default_rng(1).normal(0, 1, (50, 5))
    mean, variance = 0.2 * few.mean(0) + 0.8 * training.mean(0), 0.2 * few.var(0) + 0.8 * training.var(0)
    np.testing.assert_allclose(standardiser(few, training, relevance=16)(few), (few - mean) / np.sqrt(variance))
    np.testing.assert_allclose(standardiser(few)(few), StandardScaler().fit_transform(few))


def test_self_training_of_speakers_with_statistics_of_their_own(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    (system, said), (plain, _) = of_two_speakers(folder, self_training=True), of_two_speakers(folder)
    analysis, standardised = plain.network.heads["emotion"].analysis, []
    for speaker, wavs in said.items():
        plain.turn_to(speaker)
        hook = analysis.norm.register_forward_hook(lambda m, _, out: standardised.append(out.clone()))
        plain.probabilities(wavs)
        hook.remove()
    assert len(torch.cat(standardised)) == 6
    analysis.adapt(torch.cat(standardised))
    its = system.network.heads["emotion"].analysis
    torch.testing.assert_close(its.weight, analysis.weight, rtol=1e-2, atol=1e-3)
    for speaker, wavs in said.items():
        plain.turn_to(speaker)
        system.turn_to(speaker)
        assert torch.allclose(system.probabilities(wavs), plain.probabilities(wavs), atol=1e-3)


def test_a_condition_speaker_by_speaker_keeps_the_order():
    class Turned:
        def turn_to(self, speaker):
            self.speaker = speaker

    class Levels:
        name, levels, unit, axis, settings = "levels", [1.0, 2.0], "dB", "", {"kind": "noise"}

        def answers(self, system, utterances, cell):
            for level in self.levels:
                rows = torch.tensor([[float(u.id), level, float(system.speaker[1])] for u in utterances])
                yield rows, {"heard": {u.id: f"{u.id} {level:g}" for u in utterances}}

    some = records(5)
    for level, (rows, columns) in enumerate(SpeakerBySpeaker(Levels()).answers(Turned(), some, None), start=1):
        assert rows.tolist() == [[i, level, i % 2] for i in range(5)]
        assert columns == {"heard": {str(i): f"{i} {level}" for i in range(5)}}


def records(n):
    return [Utterance(str(i), {"corpus": "c", "speaker": str(i % 2), "recording": f"r{i}"}, None, "anger") for i in range(n)]


def test_every_task_that_will_be_asked_is_adapted():
    heads = {name: make("head/statistics_pooling", input_size=16, n_classes=3) for name in ("emotion", "gender")}
    encoder = make("encoder/cnn", input_size=20, channels=[16], kernel_sizes=[8], strides=[4])
    features, norm = make("features/log_mel", n_mels=20, n_fft=512), GlobalNormalization(20)
    network = Network(features, norm, encoder, heads, {"emotion": -1, "gender": -1}).eval()
    batches = [(torch.rand(3, 16000), torch.ones(3))]
    for tasks in (["emotion"], ["emotion", "gender"]):
        adapt(network, {"all": batches}, tasks)
        changed = [bool(m.running_mean.any()) for m in network.heads["gender"].modules() if isinstance(m, FrameBatchNorm)]
        assert changed == [len(tasks) == 2]


def test_nobody_knows_who_speaks():
    some = [Utterance("a", {"corpus": "c", "speaker": "c/unknown"}, None, "anger")]
    with pytest.raises(ValueError, match="who speaks in 'a' is not known"):
        by_speaker(some)


def test_nobody_to_adapt_to_and_a_second_time(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    system = TrainedNetwork(folder)
    with pytest.raises(ValueError, match="somebody: there is no utterance to adapt to"):
        system.adapt_to({"somebody": []})
    system.adapt_to({"somebody": utterances()[3:]}, relevance=8)
    system.adapt_to({"all": utterances()}, relevance=8)
    assert torch.equal(system.probabilities(utterances()), adapted(folder, 16, relevance=8).probabilities(utterances()))


def test_enrolment_is_drawn_by_recording_and_seed():
    some = records(12)
    enrolled, tested = draw_enrolment(some, 4)
    assert sorted([*enrolled, *tested], key=lambda u: int(u.id)) == some
    assert {s: sum(u.record["speaker"] == s for u in enrolled) for s in "01"} == {"0": 4, "1": 4}
    assert tested == [u for u in some if u not in enrolled]
    fewer = [u for u in reversed(some) if u.record["speaker"] == "1" and u != tested[1]]  # whatever else is there
    again, _ = draw_enrolment(fewer, 4)
    assert again == [u for u in enrolled if u.record["speaker"] == "1"]
    assert draw_enrolment(some, 4, seed=1)[0] != enrolled


def test_self_training_needs_a_head_that_is_solved_for(tmp_path):
    with pytest.raises(ValueError, match="self-training is for heads that can adapt, and BLSTMAttention has no 'adapt'"):
        adapted(write_small_model(tmp_path / "model"), 2, self_training=True)
