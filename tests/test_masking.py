"""Lengths and masks."""

import torch

from mtlaug_sb.masking import absolute_lengths, labelled_rows, reverse_valid, rows_where, strided_lengths, trim, valid_mask


def test_absolute_lengths_are_exact_for_hours_of_audio():
    size = 3 * 3600 * 16000
    for n in (1, 12345, size // 3, size - 1, size):
        assert absolute_lengths(torch.tensor([n / size], dtype=torch.float64), size).item() == n


def test_every_length_survives_being_made_relative():
    for size in (1, 7, 301, 4801):
        steps = torch.arange(1, size + 1)
        assert torch.equal(absolute_lengths(steps / size, size), steps)


def test_strided_lengths_round_up_as_alone():
    size, stride = 50, 4
    steps = torch.arange(1, size + 1)
    kept = absolute_lengths(strided_lengths(steps / size, size, stride), -(-size // stride))
    assert torch.equal(kept, -(-steps // stride))


def test_reverse_valid_leaves_padding():
    x = torch.tensor([[1.0, 2, 3, 0, 0]]).unsqueeze(2)
    assert reverse_valid(x, torch.tensor([0.6])).squeeze().tolist() == [3, 2, 1, 0, 0]


def test_labelled_rows_need_one_value():
    targets = torch.tensor([[torch.nan, torch.nan], [torch.nan, 1.0], [0.0, 0.0]])
    assert labelled_rows(targets).tolist() == [False, True, True]


def test_trim():
    x, lengths = trim(torch.rand(2, 10, 3), torch.tensor([0.5, 0.2]))
    assert x.shape == (2, 5, 3)
    assert valid_mask(lengths, 5).sum(1).tolist() == [5, 2]


def test_rows_where_all_are_chosen_are_a_view():
    x = torch.arange(3)
    assert x[rows_where(x > 0)].tolist() == [1, 2]
    assert len(x[rows_where(x > 5)]) == 0
    assert x[rows_where(x >= 0)].data_ptr() == x.data_ptr()
