"""What `buckstop doctor` says about the geocoder: does it answer, and does it know City Hall."""

from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.settings import Settings
from router.geocode import NAMES, open_geocoder
from router.rules import City


class BadGeocoder(Exception):
    """What is wrong, as a sentence that says what to do."""


async def look_at_geocoder(settings: Settings, city: City) -> str:
    """A sentence about a geocoder that answers. Raises `BadGeocoder`."""
    asks = settings.router.geocoder
    if not asks.provider:
        return "none is set: only the city's own lists of places are used"
    name = NAMES[asks.provider]
    patient = asks.model_copy(update={"patience": asks.timeout + 1})
    hall = city.city_hall or f"{city.name}, {city.state}"
    with TemporaryDirectory(prefix="buckstop-doctor-") as folder:
        async with open_geocoder(patient, city.boundary, Path(folder)) as geocoder:
            if geocoder is None:
                raise BadGeocoder("it cannot be opened")
            answer = (await geocoder.find([hall]))[hall]
    if answer.later:
        raise BadGeocoder(
            f"{name} does not answer; look at router.geocoder.url, and whether a firewall is "
            "between us. Reports are taken and routed without it."
        )
    return f"{name} answers" + (", and knows City Hall" if answer.spots else "")
