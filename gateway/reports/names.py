"""What a city calls things in its reports: other names are folded, and what has none is named."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gateway.pages.i18n import noted as N_
from router.rules import City

NO_DEPARTMENT = N_("No Department Assigned")
NO_DISTRICT = N_("No District Assigned")
OTHERS = N_("Others")
"""Where it is is known, and lies in no district."""

# How these stand in papers and in other systems.
_SAME = {
    "no department assigned": NO_DEPARTMENT,
    "no department": NO_DEPARTMENT,
    "no district assigned": NO_DISTRICT,
    "no district": NO_DISTRICT,
    "others": OTHERS,
    "other": OTHERS,
}


@dataclass(frozen=True)
class Names:
    """A city's names, with the other names by which its papers know them."""

    districts: tuple[str, ...] = ()
    department_aliases: Mapping[str, str] = field(default_factory=dict)
    type_aliases: Mapping[str, str] = field(default_factory=dict)

    def department(self, name: str | None) -> str:
        if name is None or _SAME.get(name.casefold()) == NO_DEPARTMENT:
            return NO_DEPARTMENT
        return self.department_aliases.get(name, name)

    def problem_type(self, name: str) -> str:
        return self.type_aliases.get(name, name)

    def district(self, name: str | None, *, elsewhere: bool = False) -> str:
        if name is None:
            return OTHERS if elsewhere else NO_DISTRICT
        same = _SAME.get(name.casefold(), name)
        return name if same == NO_DEPARTMENT else same


def names_of(city: City) -> Names:
    return Names(
        districts=tuple(city.district_names),
        department_aliases={
            alias: each.name for each in city.departments for alias in each.aliases
        },
        type_aliases={alias: one.problem_type for one in city.reporting for alias in one.aliases},
    )


def in_order(departments: Collection[str]) -> list[str]:
    """Departments as reports list them: without one first, the others by their names."""
    return sorted(departments, key=lambda name: (name != NO_DEPARTMENT, natural(name)))


def districts_in_order(districts: Collection[str]) -> list[str]:
    """Districts as reports list them: without one first, elsewhere last."""
    return sorted(districts, key=lambda name: (name == OTHERS, name != NO_DISTRICT, natural(name)))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """So that District 10 comes after District 9."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((1, int(one), "") if one.isdecimal() else (2, 0, one) for one in parts if one)
