"""Training batches: labelled and unlabelled utterances in a fixed ratio, similar lengths together."""

import torch
from torch.utils.data import Sampler


class MixedBatchSampler(Sampler):
    """Every labelled utterance once an epoch, and to each batch some unlabelled ones, taken in turn.

    The order depends on the seed and the epoch alone, so that a resumed run sees the same batches.

    Arguments
    ---------
    durations : sequence of float
        Of the labelled utterances, indices 0 ... n - 1 of the dataset.
    unlabelled : int
        How many unlabelled utterances follow them in the dataset.
    batch_size : int
        Labelled utterances a batch.
    unlabelled_ratio : float
        Unlabelled ones per labelled one in each batch; less where an epoch would meet one of them twice.
    bucket_batches : int
        Utterances are sorted by duration within random groups of so many batches, so that less is padding.
        1 keeps the order entirely random.
    seed : int
        Of all draws.
    readers : int
        0 takes the unlabelled utterances by index, in random order. Otherwise they are streamed by so many readers in each
        process, which take turns batch by batch, and come as (position in the stream, reader, number of all readers).

    Example
    -------
    >>> sampler = MixedBatchSampler([1.0, 3.0, 1.0, 3.0], unlabelled=2, batch_size=2, unlabelled_ratio=0.5)
    >>> [len(batch) for batch in sampler]
    [3, 3]
    """

    def __init__(self, durations, unlabelled=0, batch_size=32, unlabelled_ratio=1.0, bucket_batches=1, seed=0, readers=0):
        self.durations = torch.as_tensor(durations, dtype=torch.float32)
        self.unlabelled = unlabelled
        self.batch_size = batch_size
        self.unlabelled_ratio = min(unlabelled_ratio, unlabelled / len(durations))
        self.bucket = batch_size * bucket_batches
        self.seed = seed
        self.readers = readers
        self.epoch = 0
        self.rank, self.world_size = 0, 1

    def shard(self, rank, world_size):
        """Give each of several processes its share of an epoch's batches, all shares of one size."""
        self.rank, self.world_size = rank, world_size

    def set_epoch(self, epoch):
        """The epoch whose batches come next."""
        self.epoch = epoch

    def __len__(self):
        return -(-len(self.durations) // (self.batch_size * self.world_size))

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        utterances = torch.randperm(len(self.durations), generator=generator)
        n_batches = -(-len(utterances) // self.batch_size)
        # every batch but the last is full; of a share that is no whole number, now one fewer and now one more
        last = round((len(utterances) - (n_batches - 1) * self.batch_size) * self.unlabelled_ratio)
        extra = None if self.readers else self._unlabelled(self._before(n_batches - 1) + last)
        order = torch.randperm(n_batches, generator=generator)
        # processes wait for one another: the first batches come again where they do not divide evenly
        order = order[torch.arange(len(self) * self.world_size) % n_batches]
        for i, k in enumerate(order[self.rank :: self.world_size].tolist()):
            # made one by one: of a million utterances, the first batch need not wait for the last
            start = k * self.batch_size % self.bucket
            group = utterances[k * self.batch_size - start :][: self.bucket]
            group = group[self.durations[group].argsort(stable=True)] if self.bucket > self.batch_size else group
            n = last if k == n_batches - 1 else self._before(k + 1) - self._before(k)
            if self.readers:
                more = self._streamed(i)[: n if k == n_batches - 1 else None]
            else:
                more = extra[self._before(k) :][:n].tolist()
            yield group[start:][: self.batch_size].tolist() + more

    def _before(self, batches):
        """How many unlabelled utterances so many full batches have."""
        return int(batches * self.batch_size * self.unlabelled_ratio + 1e-6)

    def _streamed(self, i):
        """Places of the utterances of this process' batch number i of the epoch, were it a full one."""
        batches = self.epoch * -(-len(self) // self.readers) + i // self.readers  # of this reader so far
        reader = self.rank * self.readers + i % self.readers
        places = range(self._before(batches), self._before(batches + 1))
        return [(place, reader, self.world_size * self.readers) for place in places]

    def _unlabelled(self, per_epoch):
        """Indices of one epoch's: on from where the last epoch ended, permutation after permutation of all of them."""
        parts, position = [torch.arange(0)], self.epoch * per_epoch
        end = position + per_epoch
        while position < end:
            lap, start = divmod(position, self.unlabelled)
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + 500_009 + lap)
            parts.append(torch.randperm(self.unlabelled, generator=generator)[start : start + end - position])
            position += len(parts[-1])
        return torch.cat(parts) + len(self.durations)
