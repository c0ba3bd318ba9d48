"""Other models on the encoded rows of a dataset, in the peers' environment: `quality_peers.py DATASET FIELDS`.

FIELDS is JSON: {field: {"ids": columns of ids, "x": a column of x_i or null}}. Each model's settings are chosen by the
log loss of the validation split. Prints one JSON line per model, as soon as it is known.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import myfm
import numpy as np
import pyarrow.parquet as pq
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

Predict = Callable[[str], Any]
SPLITS = ("train", "valid", "test")
SWEEPS = 300
MOST_COLUMNS_OF_TAGS = 200


class Split(NamedTuple):
    rows: sparse.csr_matrix
    """(N, ids) x_i by id."""
    columns: Any
    """(N, fields) for trees: the id of a field, its number, or a flag for each id of a field with several."""
    label: Any


def main() -> None:
    dataset, fields = Path(sys.argv[1]), json.loads(sys.argv[2])
    tables = {split: pq.read_table(dataset / split) for split in SPLITS}
    n_ids = 1 + max(_ids(table, field).max() for table in tables.values() for field in fields.values())
    tags = {name: _used(tables, field) for name, field in fields.items() if len(field["ids"]) > 1}
    splits = {
        split: Split(_matrix(table, fields, n_ids), _columns(table, fields, tags), table["label"].to_numpy() > 0)
        for split, table in tables.items()
    }
    groups = [_used(tables, field) for field in fields.values()]
    single = [field for field in fields.values() if len(field["ids"]) == 1]  # first, in the columns for trees
    categorical = [index for index, field in enumerate(single) if not field["x"]]
    for name, fits in (
        ("logistic regression (scikit-learn)", logistic(splits)),
        ("gradient boosting (LightGBM)", boosting(splits, categorical)),
        ("FM by Gibbs sampling (myFM)", sampled(splits, groups)),
    ):
        began, best = time.monotonic(), None
        for predict in fits:
            valid = log_loss(splits["valid"].label, predict("valid"))
            if best is None or valid < best[0]:
                best = valid, predict("test")
        assert best is not None
        label = splits["test"].label
        found = {"valid": best[0], "test": log_loss(label, best[1]), "auc": roc_auc_score(label, best[1])}
        print(json.dumps({"model": name, **found, "seconds": time.monotonic() - began}), flush=True)


def logistic(splits: dict[str, Split]) -> Iterator[Predict]:
    for strength in (0.03, 0.1, 0.3, 1.0, 3.0):
        model = LogisticRegression(C=strength, max_iter=300).fit(splits["train"].rows, splits["train"].label)
        yield lambda split, model=model: model.predict_proba(splits[split].rows)[:, 1]


def boosting(splits: dict[str, Split], categorical: list[int]) -> Iterator[Predict]:
    """Few leaves to many, early stopping on the validation split."""
    for leaves in (15, 63, 127):
        of = {split: rows.columns for split, rows in splits.items()}
        train = lightgbm.Dataset(
            of["train"], splits["train"].label, categorical_feature=categorical, params={"verbose": -1}
        )
        valid = lightgbm.Dataset(of["valid"], splits["valid"].label, reference=train)
        options = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "verbose": -1, "seed": 1}
        more = {"min_data_per_group": 10, "cat_smooth": 10}
        stopping = lightgbm.early_stopping(50, verbose=False)
        model = lightgbm.train({**options, **more}, train, 2000, [valid], callbacks=[stopping])
        yield lambda split, model=model, of=of: model.predict(of[split])


def sampled(splits: dict[str, Split], groups: list[Any]) -> Iterator[Predict]:
    order = np.concatenate(groups)
    for rank in (8, 16):
        model = myfm.MyFMClassifier(rank=rank, random_seed=1)
        rows, label = splits["train"].rows[:, order], splits["train"].label.astype(int)
        sizes = [len(ids) for ids in groups]
        model.fit(rows, label, n_iter=SWEEPS, n_kept_samples=SWEEPS * 7 // 10, group_shapes=sizes)
        yield lambda split, model=model: model.predict_proba(splits[split].rows[:, order])


def _ids(table: Any, field: dict[str, Any]) -> Any:
    return np.column_stack([table[column].to_numpy() for column in field["ids"]])


def _x(table: Any, field: dict[str, Any], ids: Any) -> Any:
    present = (ids > 0).astype(np.float64)
    return present * table[field["x"]].to_numpy()[:, None] if field["x"] else present


def _used(tables: dict[str, Any], field: dict[str, Any]) -> Any:
    ids = np.unique(np.concatenate([_ids(table, field).ravel() for table in tables.values()]))
    return ids[ids > 0]


def _matrix(table: Any, fields: dict[str, Any], n_ids: int) -> sparse.csr_matrix:
    parts = []
    for field in fields.values():
        ids = _ids(table, field)
        row = np.repeat(np.arange(len(ids)), ids.shape[1])
        parts.append((row, ids.ravel(), _x(table, field, ids).ravel()))
    row, column, x = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sparse.csr_matrix((x[x != 0], (row[x != 0], column[x != 0])), shape=(table.num_rows, n_ids))


def _columns(table: Any, fields: dict[str, Any], tags: dict[str, Any]) -> Any:
    """Fields of one id first, then flags for the first tags of each other one."""
    single = [
        table[field["x"]].to_numpy() if field["x"] else table[field["ids"][0]].to_numpy()
        for field in fields.values()
        if len(field["ids"]) == 1
    ]
    flags = [
        (_ids(table, fields[name]) == tag).any(axis=1)
        for name, used in tags.items()
        for tag in used[:MOST_COLUMNS_OF_TAGS]
    ]
    return np.column_stack([*single, *flags]).astype(np.float64)


if __name__ == "__main__":
    main()
