import torch

from afm_core.learning.losses import squared_error


def test_a_weight_of_two_counts_like_the_row_twice() -> None:
    output, label = torch.randn(5), torch.randn(5)
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0, 1.0])
    twice = torch.tensor([0, 1, 1, 3, 4])
    torch.testing.assert_close(squared_error(output, label, weight), squared_error(output[twice], label[twice]))
    torch.testing.assert_close(squared_error(output, label), squared_error(output, label, torch.ones(5)))
