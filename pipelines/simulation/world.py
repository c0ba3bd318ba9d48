"""The simulated world: users, apps, contexts, and the ground truth planted in them.

The app of an event depends only on the user's taste, the daypart and the place. Of all pairs of fields, only
(user, app), (app, daypart) and (app, place) carry signal; weekday, weather, device and network carry none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLANTED_PAIRS = (("user", "app"), ("app", "daypart"), ("app", "place"))

DAYPARTS = ("night", "morning", "noon", "afternoon", "evening")
PLACES = ("home", "work", "transit", "outdoors")
WEATHER = ("sunny", "cloudy", "rain", "snow", "fog", "wind")
NETWORKS = ("wifi", "4g", "5g", "offline")
DEVICES = ("a1", "a2", "b1", "b2", "c1", "c2", "d1")

_TASTES = 8
_INITIAL_SHARE = 0.85  # share of users and apps that exist from the first day
_ARRIVAL_DAYS = 30  # the others arrive uniformly over these days
_STRENGTH = {"taste": 1.6, "daypart": 1.6, "place": 1.6}  # of each planted pair, in log odds (standard deviation)


@dataclass(frozen=True)
class World:
    """Everything that stays the same from day to day."""

    taste: NDArray[np.int64]
    """(users,) group of users with the same taste."""
    device: NDArray[np.int64]
    """(users,) index into `DEVICES`."""
    activity: NDArray[np.float64]
    """(users,) share of the events; sums to 1."""
    user_arrival: NDArray[np.int64]
    """(users,) first day on which the user exists."""
    app_arrival: NDArray[np.int64]
    """(apps,) first day on which the app exists."""
    log_odds: NDArray[np.float64]
    """(tastes x dayparts x places, apps) unnormalised log probability of each app."""

    @classmethod
    def create(cls, users: int, apps: int, seed: int) -> "World":
        """Draw a world. The same arguments give the same world."""
        random = np.random.default_rng(np.random.SeedSequence([seed, 0]))
        popularity = -0.5 * np.log1p(random.permutation(apps))
        taste, daypart, place = (
            _STRENGTH[name] * random.standard_normal((levels, apps))
            for name, levels in (("taste", _TASTES), ("daypart", len(DAYPARTS)), ("place", len(PLACES)))
        )
        log_odds = popularity + taste[:, None, None] + daypart[None, :, None] + place[None, None, :]
        activity = 1.0 / (1.0 + random.permutation(users)) ** 0.6
        return cls(
            taste=random.integers(_TASTES, size=users),
            device=random.integers(len(DEVICES), size=users),
            activity=activity / activity.sum(),
            user_arrival=_arrivals(users, random),
            app_arrival=_arrivals(apps, random),
            log_odds=log_odds.reshape(-1, apps),
        )

    def choose_users(self, day: int, events: int, random: np.random.Generator) -> NDArray[np.int64]:
        """(events,) users of a day, drawn by their activity."""
        weight = np.where(self.user_arrival <= day, self.activity, 0.0)
        cumulative = np.cumsum(weight)
        return np.searchsorted(cumulative / cumulative[-1], random.random(events), side="right")

    def choose_apps(
        self,
        day: int,
        user: NDArray[np.int64],
        daypart: NDArray[np.int64],
        place: NDArray[np.int64],
        random: np.random.Generator,
    ) -> NDArray[np.int64]:
        """(events,) apps, drawn from the planted distribution of each event's taste, daypart and place.

        Cost: one binary search per event, in the concatenated cumulative distributions of all contexts.
        """
        available = np.where(self.app_arrival <= day, self.log_odds, -np.inf)
        weight = np.exp(available - available.max(axis=1, keepdims=True))
        cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
        cumulative[:, -1] = 1.0
        context = (self.taste[user] * len(DAYPARTS) + daypart) * len(PLACES) + place
        contexts, apps = cumulative.shape
        stacked = (cumulative + np.arange(contexts)[:, None]).ravel()
        position = np.searchsorted(stacked, random.random(len(user)) + context, side="right")
        return np.asarray(position - context * apps, dtype=np.int64)


def _arrivals(n: int, random: np.random.Generator) -> NDArray[np.int64]:
    late = random.integers(1, 1 + _ARRIVAL_DAYS, size=n)
    return np.where(random.random(n) < _INITIAL_SHARE, 0, late)
