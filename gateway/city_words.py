"""The city's folder as the notices see it: neither room knows the other."""

from notifier import city_words
from router.rules import City


def words_of(city: City) -> city_words.CityWords:
    """What notices say of the city."""
    return city_words.CityWords(
        name=city.name,
        state=city.state,
        timezone=city.timezone,
        colour=city.colour,
        website=city.website,
        phones=tuple(
            city_words.Phone(number=contact.phone, labels=contact.label)
            for contact in city.contacts
            if contact.in_mails
        ),
        full_names=city.title,
        emergency_text=city.emergency.text,
        type_labels={
            language: {kind.name: kind.label[language] for kind in city.problem_types}
            for language in city.languages
        },
        department_labels={
            language: {one.name: one.label[language] for one in city.departments}
            for language in city.languages
        },
        agencies={
            agency.name: city_words.Phone(number=agency.phone or "", labels=agency.label)
            for agency in city.referrals.agencies.values()
        },
    )
