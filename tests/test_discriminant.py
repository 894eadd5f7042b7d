"""Discriminant analysis against scikit-learn's and against its formula; the head that answers together with one."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch.nn.functional import cross_entropy

from mtlaug_sb import class_statistics, make
from mtlaug_sb.discriminant import DiscriminantAnalysis
from mtlaug_sb.inference.network import classified_of, embedding_of
from mtlaug_sb.temperature import fit_temperature


def examples(n=90, size=6, classes=3):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes
    labels[: n // 3] = 0  # the first class has more
    mixing = torch.randn(size, size, generator=generator)
    return 5 + torch.randn(n, size, generator=generator) @ mixing + torch.eye(classes, size)[labels] * 2, labels


def fitted(x, labels, classes=3, shrinkage=0.5):
    analysis = DiscriminantAnalysis(x.shape[1], classes, shrinkage).eval()
    analysis.fit(x, torch.eye(classes)[labels])
    return analysis


def test_without_shrinkage_it_is_scikit_learns():
    x, labels = examples()
    sklearn = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3).fit(x.double().numpy(), labels.numpy())
    ours = fitted(x, labels, shrinkage=1e-9)(x).numpy()
    np.testing.assert_allclose(ours, sklearn.predict_log_proba(x.double().numpy()), atol=2e-3)


def test_shrinkage_by_its_formula():
    x, labels = examples()
    z = (x.numpy() - x.numpy().mean(0)) / np.sqrt(x.numpy().var(0) + 1e-5)
    means = np.stack([z[labels == c].mean(0) for c in range(3)])
    within = np.mean([np.cov(z[labels == c].T, bias=True) for c in range(3)], axis=0)
    shrunk = 0.3 * within + 0.7 * np.trace(within) / 6 * np.eye(6)
    distances = np.stack([((z - m) @ np.linalg.inv(shrunk) * (z - m)).sum(1) for m in means], axis=1)
    expected = torch.from_numpy(-0.5 * distances).log_softmax(1)
    torch.testing.assert_close(fitted(x, labels, shrinkage=0.7)(x).double(), expected, atol=1e-3, rtol=0)


def test_more_dimensions_than_examples_and_examples_that_are_alike():
    x = torch.zeros(4, 50)
    x[2:, :25] = 1.0
    answers = fitted(x, torch.tensor([0, 0, 1, 1]), classes=2)(x)
    assert torch.isfinite(answers).all()
    assert answers.argmax(1).tolist() == [0, 0, 1, 1]


def test_a_class_without_examples_does_not_spoil_the_others():
    x, labels = examples(classes=2)
    answers = fitted(x, labels, classes=3)(x)
    assert torch.isfinite(answers).all()
    assert (answers.argmax(1) == labels).float().mean() > 0.8
    elsewhere = 100 * torch.randn(500, x.shape[1], generator=torch.Generator().manual_seed(1))
    assert (fitted(x, labels, classes=3)(elsewhere).argmax(1) < 2).all()


def test_more_dimensions_than_examples_give_what_more_examples_than_dimensions_would():
    """The same examples over and over have the same covariance; the smaller system is solved then."""
    x, labels = examples(n=18, size=40)
    few, many = fitted(x, labels), fitted(x.repeat(3, 1), labels.repeat(3))
    torch.testing.assert_close(few.weight, many.weight, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(few.bias, many.bias, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("targets", ["certain", "shared", "one speaker's class"])
def test_of_many_examples_moments_say_the_same_as_the_examples_themselves(monkeypatch, targets):
    """The solution, and the certainty, for which speakers are left out and brought back."""
    x, labels, speakers = people(60, 0.5, seed=4)
    x = 1000 + x  # far from zero
    y = torch.eye(3)[labels]
    if targets == "shared":
        y = 0.8 * y + 0.2 * y.roll(1, dims=1)
    if targets == "one speaker's class":
        alone = torch.tensor([name == "speaker 7" for name in speakers])
        y[(y[:, 2] == 1) & ~alone] = torch.eye(3)[0]
    ours, theirs = DiscriminantAnalysis(8, 3).eval(), DiscriminantAnalysis(8, 3).eval()
    ours.fit(x, y, speakers)
    monkeypatch.setattr(class_statistics, "_Moments", class_statistics._Rows)
    theirs.fit(x, y, speakers)
    assert theirs.certainty != 1
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_examples_that_are_not_finite_are_refused():
    x, labels = examples()
    x[3, 2] = torch.nan
    with pytest.raises(ValueError, match="has no solution: its examples are not finite"):
        fitted(x, labels)


@pytest.mark.parametrize("shrinkage", [0, -0.1, 1.5])
def test_wrong_shrinkage(shrinkage):
    with pytest.raises(ValueError, match="shrinkage must be above 0 and at most 1"):
        DiscriminantAnalysis(3, 2, shrinkage)


def people(n, deviation, seed, size=8):
    """Examples of three classes from n speakers, each of whom moves the classes' means in his own way."""
    generator = torch.Generator().manual_seed(seed)
    speakers, labels = torch.arange(n).repeat_interleave(60), torch.arange(60 * n) % 3
    moved = deviation * torch.randn(n, 3, size, generator=generator)
    means = torch.randn(3, size, generator=torch.Generator().manual_seed(0)) * (8 / size)
    noise = torch.randn(60 * n, size, generator=generator)
    return means[labels] + moved[speakers, labels] + noise, labels, [f"speaker {i}" for i in speakers.tolist()]


@pytest.mark.parametrize("deviation", [0.0, 0.7])
def test_certainty_is_right_about_people_who_are_not_among_the_examples(deviation):
    x, labels, speakers = people(40, deviation, seed=1)
    analysis = DiscriminantAnalysis(8, 3, shrinkage=0.01).eval()
    analysis.fit(x, torch.eye(3)[labels], speakers)
    others, truth, _ = people(300, deviation, seed=2)
    assert analysis.certainty.item() == pytest.approx(1 / fit_temperature(analysis(others), truth), rel=0.15)


def test_certainty_is_low_where_there_are_many_dimensions_and_few_people():
    x, labels, speakers = people(12, 0.7, seed=1, size=40)
    analysis = DiscriminantAnalysis(40, 3, shrinkage=0.01).eval()
    analysis.fit(x, torch.eye(3)[labels], speakers)
    others, truth, _ = people(300, 0.7, seed=2, size=40)
    scores = analysis(others)
    assert analysis.certainty < 0.5
    assert cross_entropy(analysis.certainty * scores, truth) < 0.8 * cross_entropy(scores, truth)


def test_certainty_leaves_the_solution_as_it_is_and_needs_two_groups():
    x, labels, speakers = people(3, 1.0, seed=1)
    plain, sure, alone = (DiscriminantAnalysis(8, 3).eval() for _ in range(3))
    plain.fit(x, torch.eye(3)[labels])
    sure.fit(x, torch.eye(3)[labels], speakers)
    alone.fit(x, torch.eye(3)[labels], ["one"] * len(x))
    assert torch.equal(plain.weight, sure.weight)
    assert sure.certainty < 1
    assert plain.certainty == alone.certainty == 1


def test_adapting_by_its_formula():
    x, labels, _ = people(4, 0.5, seed=1)
    analysis = fitted(x, labels)
    analysis.certainty.fill_(0.3)
    elsewhere = (people(4, 0.5, seed=2)[0] * 3 + 7)[:50]
    z = ((elsewhere - elsewhere.mean(0)) / elsewhere.std(0, correction=0)).double().numpy()
    shares = (0.3 * (z @ analysis.weight.numpy().T + analysis.bias.numpy())).astype(float)
    shares = np.exp(shares) / np.exp(shares).sum(1, keepdims=True)
    shares /= shares.sum(0)
    means = shares.T @ z
    within = sum((z - m).T @ ((z - m) * share[:, None]) / 3 for m, share in zip(means, shares.T, strict=True))
    weight = np.linalg.solve(0.5 * within + 0.5 * np.trace(within) / 8 * np.eye(8), means.T).T
    norm = {name: buffer.clone() for name, buffer in analysis.norm.named_buffers()}
    analysis.adapt(torch.from_numpy(z).float())
    np.testing.assert_allclose(analysis.weight.numpy(), weight, rtol=2e-2, atol=5e-3)
    assert all(torch.equal(buffer, norm[name]) for name, buffer in analysis.norm.named_buffers())


def test_adapting_finds_classes_that_have_moved():
    x, labels, _ = people(30, 0.3, seed=1)
    analysis = fitted(x, labels)
    turn = torch.matrix_exp(0.5 * (lambda a: a - a.T)(torch.randn(8, 8, generator=torch.Generator().manual_seed(3)) / 3))
    elsewhere, truth, _ = people(30, 0.3, seed=2)
    elsewhere = elsewhere @ turn * 2 - 5
    analysis.norm.running_mean.copy_(elsewhere.mean(0))
    analysis.norm.running_var.copy_(elsewhere.var(0, unbiased=False))
    before = (analysis(elsewhere).argmax(1) == truth).float().mean()
    analysis.adapt(analysis.norm(elsewhere))
    after = (analysis(elsewhere).argmax(1) == truth).float().mean()
    assert after > before + 0.02


def test_a_class_that_one_group_has_says_nothing_of_certainty():
    x, labels, speakers = people(12, 0.5, seed=1)
    rows = torch.tensor([label < 2 or name == "speaker 0" for label, name in zip(labels.tolist(), speakers, strict=True)])
    x, labels, speakers = x[rows], labels[rows], [name for name, row in zip(speakers, rows, strict=True) if row]
    analysis = DiscriminantAnalysis(8, 3).eval()
    analysis.fit(x, torch.eye(3)[labels], speakers)
    assert analysis.certainty > 0.5
    analysis.fit(x, torch.eye(3)[labels], labels.tolist())
    assert analysis.certainty == 1  # nobody is known by others


def fusion(**arguments):
    torch.manual_seed(0)
    head = make("head/attentive", input_size=8, n_classes=3, dense=16)
    vectors = make("encoder/covariance", input_size=20, cepstra=4, moving_cepstra=2)
    return make("head/discriminant_fusion", head=head, vectors=vectors, n_classes=3, **arguments)


def solved(**arguments):
    """A head that has seen utterances whose class is the size of their deviation."""
    head, generator = fusion(**arguments).eval(), torch.Generator().manual_seed(1)
    classes = torch.arange(30) % 3
    features = torch.randn(30, 40, 20, generator=generator) * (1 + classes).view(-1, 1, 1)
    speakers = [f"speaker {i % 4}" for i in range(30)]
    batches = [(features[i : i + 7], torch.ones(30)[i : i + 7], torch.eye(3)[classes[i : i + 7]]) for i in range(0, 30, 7)]
    head.fit((*batch, speakers[7 * i : 7 * i + 7]) for i, batch in enumerate(batches))
    return head, features, classes


def test_in_training_the_head_is_alone():
    head, features, _ = solved()
    frames, lengths = torch.rand(30, 10, 8), torch.ones(30)
    head.train()
    head.head.eval()  # no dropout
    given = head(frames, lengths, features, lengths)
    assert "scores" not in given
    torch.testing.assert_close(given["logits"], head.head(frames, lengths)["logits"])


def test_in_evaluation_log_probabilities_are_added():
    head, features, classes = solved(gain=2.0)
    frames, lengths = torch.rand(30, 10, 8), torch.ones(30)
    with torch.no_grad():
        given = head(frames, lengths, features, lengths)
        alone = head.head(frames, lengths)["logits"].log_softmax(1)
    sureness = min(head.analysis.certainty / 2, 1)
    assert 0 < sureness < 1
    torch.testing.assert_close(given["logits"], sureness * (alone + 2 * given["scores"]))
    assert (given["scores"].argmax(1) == classes).all()
    torch.testing.assert_close(given["scores"].exp().sum(1), torch.ones(30))
    torch.testing.assert_close(head.classify(classified_of(given, head)), given["logits"])
    torch.testing.assert_close(head.classify(classified_of(given, head).unsqueeze(1)).squeeze(1), given["logits"])
    assert embedding_of(given, head).shape == (30, 16)


@pytest.mark.parametrize(("gain", "certainty", "sureness"), [(0.5, 0.1, 0.2), (0.05, 0.1, 1.0), (0.0, 0.1, 1.0)])
def test_the_sum_is_as_sure_as_the_analysis_should_be(gain, certainty, sureness):
    head, features, _ = solved(gain=gain)
    head.analysis.certainty.fill_(certainty)
    frames, lengths = torch.rand(30, 10, 8), torch.ones(30)
    with torch.no_grad():
        given = head(frames, lengths, features, lengths)
        alone = head.head(frames, lengths)["logits"].log_softmax(1)
    torch.testing.assert_close(given["logits"], sureness * (alone + gain * given["scores"]))


def test_speakers_tell_it_how_sure_to_be_unless_it_is_muted():
    head, features, classes = solved()
    assert head.analysis.certainty != 1
    alone = fusion().analysis
    with torch.no_grad():
        ((vectors, _),) = head.vectors(features, torch.ones(30))
        alone.eval().fit(vectors.squeeze(1), torch.eye(3)[classes], [f"speaker {i % 4}" for i in range(30)])
    torch.testing.assert_close(head.analysis.certainty, alone.certainty, rtol=1e-2, atol=0)
    assert solved(gain=0.0)[0].analysis.certainty == 1  # leaving speakers out takes time, and nobody would ask


def test_a_muted_analysis_does_not_adapt():
    head, features, _ = solved(gain=0)
    with pytest.raises(ValueError, match="the discriminant analysis has no say"):
        head.adapt([(features, torch.ones(30))])


def test_nothing_to_solve_for_and_heads_that_do_not_fit():
    with pytest.raises(ValueError, match="no labelled training utterance"):
        fusion().fit([])
    vectors = make("encoder/covariance", input_size=20)
    for head in (fusion(), torch.nn.Linear(2, 2)):
        with pytest.raises(ValueError, match="has no 'classify', or is solved for"):
            make("head/discriminant_fusion", head=head, vectors=vectors, n_classes=3)


def test_its_batches_do_not_matter():
    head, features, classes = solved()
    again = fusion().eval()
    again.fit([(features, torch.ones(30), torch.eye(3)[classes], [f"speaker {i % 4}" for i in range(30)])])
    torch.testing.assert_close(again.analysis.weight, head.analysis.weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(again.analysis.certainty, head.analysis.certainty, rtol=1e-2, atol=0)
