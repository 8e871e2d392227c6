"""The city that the settings name is read once, and again when one of its files has changed."""

from pathlib import Path

import pytest

from gateway.compose import city_of
from gateway.settings import Settings
from router.rules import BadCity
from tests.support.city import change, copy_of_sample


def test_it_is_read_again_only_after_a_change(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    settings = Settings.model_validate({"city": str(folder)})
    first = city_of(settings)
    assert city_of(settings) is first

    change(folder, "city.toml", 'colour = "', 'colour = "#123456" # "')
    again = city_of(settings)
    assert again is not first
    assert again.colour == "#123456"


def test_a_broken_city_is_told_each_time(tmp_path: Path) -> None:
    folder = copy_of_sample(tmp_path)
    (folder / "districts.geojson").write_text("{")
    settings = Settings.model_validate({"city": str(folder)})
    for _ in range(2):
        with pytest.raises(BadCity, match=r"districts\.geojson"):
            city_of(settings)
