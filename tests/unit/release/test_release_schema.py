import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.record.schema import ColumnRecord, SchemaRecord
from signoff.release.schema import schema_gaps

TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "array<long>")
FEEDS = {
    ("integer", "long"),
    ("integer", "double"),
    ("long", "double"),
    ("float", "double"),
}


def schema(*columns: tuple[str, str], optional: str = "") -> SchemaRecord:
    return SchemaRecord(
        columns=tuple(
            ColumnRecord(name=name, type=kind, required=name not in optional) for name, kind in columns
        )
    )


@pytest.mark.parametrize("offered", TYPES)
@pytest.mark.parametrize("needed", TYPES)
def test_a_type_feeds_itself_and_wider_ones_only(needed: str, offered: str) -> None:
    gaps = schema_gaps(schema(("age", needed)), schema(("age", offered)))
    assert (gaps == ()) == (needed == offered or (offered, needed) in FEEDS)


def test_gaps_are_told_column_by_column() -> None:
    needed = schema(("a", "long"), ("b", "string"), ("c", "string"), ("d", "double"), optional="cd")
    offered = schema(("b", "long"), ("d", "string"), ("e", "binary"))
    assert schema_gaps(needed, offered) == (
        "column 'a' (long) is missing",
        "column 'b' is long, the model's signature wants string",
        "column 'd' is string, the model's signature wants double",
    )


COLUMNS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(TYPES)), unique_by=lambda column: column[0]
)


@given(needed=COLUMNS, more=COLUMNS)
def test_a_model_is_fed_by_its_own_schema_whatever_else_the_table_carries(
    needed: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    own = {name for name, _ in needed}
    offered = [*(column for column in more if column[0] not in own), *reversed(needed)]
    assert schema_gaps(schema(*needed), schema(*offered)) == ()


@given(needed=COLUMNS, offered=COLUMNS)
def test_each_needed_column_has_at_most_one_gap(
    needed: list[tuple[str, str]], offered: list[tuple[str, str]]
) -> None:
    gaps = schema_gaps(schema(*needed), schema(*offered))
    assert sum(f"column {name!r}" in gap for gap in gaps for name, _ in needed) == len(gaps) <= len(needed)
