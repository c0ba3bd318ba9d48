"""What an artefact was made from, compared with what it would be made from now."""

from pathlib import Path

from afm_core.storage.provenance import Provenance, text_digest


def test_what_was_written_equals_what_is_read() -> None:
    now = Provenance.of(seed=1, fields=("user", "app"), sizes={1: 2}, logs=None)
    assert Provenance.model_validate_json(now.model_dump_json()) == now
    assert Provenance.model_validate_json(now.model_dump_json()).digest == now.digest


def test_changed_inputs_are_named() -> None:
    earlier = Provenance.of(seed=1, logs="a")
    now = Provenance.of(seed=1, logs="b", bundle="c")
    assert now.changed(earlier) == ["logs", "bundle"]
    assert now.changed(None) == ["seed", "logs", "bundle"]
    assert now.digest != earlier.digest
    assert not now.changed(now)


def test_differences_name_the_values_by_dotted_key() -> None:
    earlier = Provenance.of(train={"epochs": 2, "optimizer": "adam"}, dataset="x")
    now = Provenance.of(train={"epochs": 3, "optimizer": "adam"}, dataset="x")
    assert now.differences(earlier) == ["train.epochs was 2, is 3"]


def test_the_boundaries_of_texts_count() -> None:
    assert text_digest("ab", "c") != text_digest("a", "bc")
    assert len(text_digest(str(Path()))) == 24
