"""How the ranks that torchrun has started find each other, again after each restart.

The agents of torchrun keep one store for all restarts, and torch writes the addresses of ranks to the same keys each
time. A rank that reads them before the others have written theirs connects to processes that are gone.
"""

import time
from datetime import timedelta
from uuid import uuid4

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

_SECONDS_BETWEEN_LOOKS = 0.05


def store_of_this_start(store: Store, rank: int, size: int, timeout: timedelta) -> Store:
    """The part of a store that only the processes of this start use.

    Rank 0 offers its own name to what each other rank is called by now, until this one has answered. Nothing of an
    earlier start can be taken for an offer or an answer, because every process has a new name; torchrun starts none
    before all of the earlier ones have ended.

    Raises:
        RuntimeError: a rank has not come within the timeout.
    """
    name, prefix = uuid4().hex, "this start"
    store.set_timeout(timeout)
    store.set(f"{prefix}/name/{rank}", name)
    if rank:
        name_of_0 = store.get(f"{prefix}/offer/{name}").decode()
        store.set(f"{prefix}/answer/{name_of_0}/{rank}", "")
        return PrefixStore(name_of_0, store)
    missing, until = set(range(1, size)), time.monotonic() + timeout.total_seconds()
    while missing:
        for other in sorted(missing):
            if store.check([f"{prefix}/answer/{name}/{other}"]):
                missing.discard(other)
            elif store.check([f"{prefix}/name/{other}"]):
                store.set(f"{prefix}/offer/{store.get(f'{prefix}/name/{other}').decode()}", name)
        if time.monotonic() > until:
            raise RuntimeError(f"ranks {sorted(missing)} have not come within {timeout}")
        time.sleep(_SECONDS_BETWEEN_LOOKS if missing else 0)
    return PrefixStore(name, store)
