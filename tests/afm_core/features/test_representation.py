"""The fingerprint of a feature map covers the representation of its fields: it must not change for older settings."""

from afm_core.features import Categorical, Frequency, Time

PLAIN = {
    "Categorical(name='a', max_missing=None, max_unknown=None, column=None, kind='categorical', type='string', "
    "ignore_case=False, min_count=1, max_size=None)": Categorical(name="a"),
    "Time(name='t', max_missing=None, max_unknown=None, kind='time', of='at', part='hour', timezone='UTC')": Time(
        name="t", kind="time", of="at", part="hour"
    ),
    "Frequency(name='n', max_missing=None, max_unknown=None, kind='frequency', of=('a',), scale='log1p')": Frequency(
        name="n", kind="frequency", of=("a",)
    ),
}


def test_later_attributes_show_only_where_they_are_set() -> None:
    for text, field in PLAIN.items():
        assert repr(field) == text
    assert "extract='x'" in repr(Categorical(name="a", extract="x"))
    assert "format='epoch_ms'" in repr(Time(name="t", kind="time", of="at", part="hour", format="epoch_ms"))
    assert "counted='all'" in repr(Frequency(name="n", kind="frequency", of=("a",), counted="all"))
