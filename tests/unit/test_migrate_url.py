"""One PostgreSQL address, read by asyncpg and by dbmate."""

import pytest

from store.migrate import MIGRATIONS, dbmate_url


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        (
            "postgresql://postgres:@/postgres?host=/data/pg",
            "postgres://postgres@/postgres?socket=/data/pg",
        ),
        ("postgresql://u@/city?host=/var/run", "postgres://u@/city?socket=/var/run"),
        (
            "postgresql://u:p%40ss@db.example:5433/city",
            "postgres://u:p%40ss@db.example:5433/city?sslmode=prefer",
        ),
        (
            "postgres://u:p@db.example/city?sslmode=verify-full",
            "postgres://u:p@db.example/city?sslmode=verify-full",
        ),
        ("postgresql:///city?host=/var/run", "postgres:///city?socket=/var/run"),
    ],
)
def test_an_address_is_translated(dsn: str, url: str) -> None:
    assert dbmate_url(dsn) == url


def test_every_migration_says_what_it_is_and_how_to_go_back() -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    assert files
    for file in files:
        text = file.read_text()
        assert text.startswith("-- ")
        assert text.index("-- migrate:up") < text.index("-- migrate:down")
