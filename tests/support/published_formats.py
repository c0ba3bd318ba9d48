"""Samples in the format of public data sets, made up row by row as the files are published."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

ROWS = 600
_START = datetime(2014, 10, 21, tzinfo=UTC)


def _times(random: np.random.Generator) -> list[datetime]:
    return [_START + timedelta(seconds=int(second)) for second in np.sort(random.integers(0, 10 * 86_400, ROWS))]


def _ratings(random: np.random.Generator, separator: str, header: str = "") -> str:
    stars = random.integers(1, 11, ROWS) / 2 if header else random.integers(1, 6, ROWS)
    rows = zip(random.integers(1, 40, ROWS), random.integers(1, 80, ROWS), stars, _times(random), strict=True)
    lines = [separator.join(map(str, (*row[:3], int(row[3].timestamp())))) for row in rows]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def _criteo(random: np.random.Generator) -> str:
    lines = []
    for _ in range(ROWS):
        counts = ["" if random.random() < 0.3 else str(random.integers(-2, 500)) for _ in range(13)]
        words = ["" if random.random() < 0.2 else f"{random.integers(0, 30):08x}" for _ in range(26)]
        lines.append("\t".join([str(random.integers(0, 2)), *counts, *words]))
    return "\n".join(lines) + "\n"


def _avazu(random: np.random.Generator) -> str:
    names = "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
    names += "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
    lines = [names]
    for number, time in enumerate(_times(random)):
        words = [f"{random.integers(0, 20):08x}" for _ in range(9)]
        numbers = [str(random.integers(-1, 20)) for _ in range(10)]
        lines.append(
            ",".join(
                [f"{2**63 + number}", str(random.integers(0, 2)), f"{time:%y%m%d%H}", "1005", "0", *words, *numbers]
            )
        )
    return "\n".join(lines) + "\n"


def _kuairec(random: np.random.Generator) -> str:
    lines = ["user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"]
    for time in _times(random):
        length, ratio = random.integers(5_000, 60_000), random.random() * 4
        exact = time + timedelta(milliseconds=int(random.integers(0, 1000)))
        lines.append(
            f"{random.integers(0, 30)},{random.integers(0, 90)},{int(length * ratio)},{length},"
            f"{exact:%Y-%m-%d %H:%M:%S.%f},{time:%Y%m%d},{exact.timestamp():.3f},{ratio}"
        )
    return "\n".join(lines) + "\n"


def _yoochoose(random: np.random.Generator) -> str:
    return "".join(
        f"{random.integers(0, 150)},{time:%Y-%m-%dT%H:%M:%S}.277Z,2145{random.integers(10000, 10040)},0\n"
        for time in _times(random)
    )


def _taobao(random: np.random.Generator) -> str:
    return "".join(
        f"{random.integers(0, 60)},{random.integers(0, 50)},{random.integers(0, 9)},"
        f"{random.choice(['pv', 'buy', 'cart', 'fav'])},{int(time.timestamp())}\n"
        for time in _times(random)
    )


def _amazon(random: np.random.Generator) -> str:
    return "".join(
        json.dumps(
            {
                "rating": float(random.integers(1, 6)),
                "title": 'Très bien, "vraiment"',
                "images": [],
                "asin": f"B{random.integers(0, 60):09d}",
                "parent_asin": f"B{random.integers(0, 60):09d}",
                "user_id": f"A{random.integers(0, 30)}",
                "timestamp": int(time.timestamp() * 1000),
                "helpful_vote": 0,
                "verified_purchase": bool(random.integers(0, 2)),
            }
        )
        + "\n"
        for time in _times(random)
    )


SAMPLES: dict[str, Callable[[np.random.Generator], str]] = {
    "movielens_100k": lambda random: _ratings(random, "\t"),
    "movielens_1m": lambda random: _ratings(random, "::"),
    "movielens_20m": lambda random: _ratings(random, ",", "userId,movieId,rating,timestamp"),
    "criteo": _criteo,
    "avazu": _avazu,
    "kuairec": _kuairec,
    "yoochoose": _yoochoose,
    "taobao": _taobao,
    "amazon_reviews": _amazon,
}
"""By the name of the file in `conf/data_sets/`."""


def _movies(separator: str, header: str = "") -> str:
    lines = [separator.join([str(at), f"Été {at} ({1990 + at % 9})", "Drama|Comedy"]) for at in range(1, 70)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


TABLES = {
    "movielens_100k": {
        "u.item": "".join(f"{at}|Été {at} (1995)|01-Jan-1995||http://x{'|0' * 18}|1\n" for at in range(1, 70)),
        "u.user": "".join(f"{at}|{20 + at}|F|writer|12345\n" for at in range(1, 40)),
    },
    "movielens_1m": {
        "movies.dat": _movies("::"),
        "users.dat": "".join(f"{at}::M::{at % 7}::{at % 20}::12345\n" for at in range(1, 40)),
    },
    "movielens_20m": {"movies.csv": _movies(",", "movieId,title,genres")},
}
"""Tables beside the file of a data set."""


def write_tables(name: str, folder: Path) -> None:
    """Write the tables beside a file."""
    encoding = "utf-8" if name == "movielens_20m" else "latin-1"
    for file, content in TABLES.get(name, {}).items():
        (folder / file).write_bytes(content.encode(encoding))


def write_sample(name: str, path: Path, seed: int) -> None:
    """Write a sample, compressed if the path says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = SAMPLES[name](np.random.default_rng(seed)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
