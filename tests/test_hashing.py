import torch

from satclip.hashing import hashed, shuffled, text_keys, uniform


def test_the_hash_is_the_finaliser_of_splitmix64() -> None:
    # The first outputs of the public-domain splitmix64.c (Vigna) for the states 0 and 1234567.
    known = {0: 0xE220A8397B1DCDAF, 1234567: 0x599ED017FB08FC85}
    for state, output in known.items():
        assert int(hashed(state)) % 2**64 == output


def test_numbers_do_not_depend_on_their_neighbours() -> None:
    ids = torch.tensor([5, 900_000, 17])
    together = uniform(3, 1, ids)
    assert torch.equal(together, torch.stack([uniform(3, 1, one) for one in ids]))


def test_every_key_and_their_order_count() -> None:
    assert len({int(hashed(*keys)) for keys in [(1, 2), (2, 1), (1, 2, 0), (1, 3)]}) == 4


def test_draws_are_even_and_unrelated_between_epochs() -> None:
    draws = torch.stack([uniform(0, epoch, torch.arange(100_000)) for epoch in range(3)]).double()
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = torch.histc(draws[0], bins=100, min=0, max=1)
    assert ((counts - 1000).square() / 1000).sum() < 150  # chi-square with 99 degrees of freedom: p = 0.0007
    assert (torch.corrcoef(draws) - torch.eye(3)).abs().max() < 0.015


def test_a_shuffle_is_a_permutation_that_never_changes() -> None:
    order = shuffled(1000, 4, 2)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert not torch.equal(order, torch.arange(1000))
    assert shuffled(8, 0, 0).tolist() == shuffled(8, 0, 0).tolist() == GOLDEN


def test_text_keys_are_the_same_on_every_machine() -> None:
    assert text_keys(["patch_0.tif"]).tolist() == [PATCH_0]


GOLDEN = [2, 5, 3, 4, 0, 1, 7, 6]
PATCH_0 = -7196346402826666276
