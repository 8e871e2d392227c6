"""The whole router: what is received becomes a type, a place and a desk, with reasons."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bus.contracts import ComplaintReceived, ComplaintRouted, Fact
from bus.identity import fact_id
from router.models import ACTIVE, SHIPPED, BadModel, Lesson, ModelFolder, read, written_version
from router.routing import Rule
from router.rules import CITIES, load_city
from router.service import Router, listeners, open_router
from tests.support.city import complaint

TYPES = 45


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    return open_router(load_city(CITIES / "independence"), tmp_path_factory.mktemp("models"))


def route(router: Router, text: str, **fields: object) -> ComplaintRouted:
    (routed,) = router.route([complaint(text, 1, **fields)])
    return routed


def test_a_complaint_finds_its_desk(router: Router) -> None:
    heard = complaint("Huge pothole on 23rd, it blew my tire", lat=39.0911, lon=-94.4155)
    (routed,) = router.route([heard])

    assert routed.message_id == fact_id("routed", heard.message_id)
    assert routed.complaint_id == heard.message_id
    assert routed.problem_type == "Pothole/Street Maintenance"
    assert routed.confidence is not None
    assert routed.confidence > 0.8
    assert routed.district == "District 1"
    assert routed.department == "MS-STREET MAINTENANCE"
    assert routed.assignee is not None
    assert routed.assignee.id == "jo.linden"
    assert len(routed.alternatives) == 3
    assert not routed.emergency
    assert routed.reasons[0].startswith('Type "Pothole/Street Maintenance" (')
    assert "pothole" in routed.reasons[0]
    assert routed.reasons[1:] == (
        "District 1: the point lies in it",
        "MS-STREET MAINTENANCE handles this type",
    )
    assert routed.teams[0].people == ("jo.linden",)
    assert routed.teams[0].why == "works District 1"
    assert routed.rule is None
    assert [tried.rule for tried in routed.trace] == [rule.name for rule in router.city.rules.rule]
    assert {tried.outcome for tried in routed.trace} == {"differs"}
    assert routed.rules == router.city.version
    assert routed.model == router.model.version


def test_spanish_finds_the_same_desk(router: Router) -> None:
    routed = route(router, "hay un hoyo enorme en la calle, se ponchó mi llanta", language="es")

    assert routed.problem_type == "Pothole/Street Maintenance"


def test_what_nobody_can_read_goes_to_triage(router: Router) -> None:
    routed = route(router, "")

    assert (routed.problem_type, routed.confidence, routed.department) == (None, None, None)
    assert routed.assignee is None
    assert routed.reasons == (
        "No type: there is no text to read",
        "No district: no place was given",
        "No department: the type is open, so the triage desk decides",
    )


def test_what_it_is_not_sure_of_goes_to_triage_with_suggestions(router: Router) -> None:
    routed = route(router, "please come and look at this thing, it is not ok")

    assert routed.problem_type is None
    assert len(routed.alternatives) == 3
    assert routed.reasons[0].startswith("No type: not sure of")


def test_what_the_resident_chose_weighs_in_and_what_was_read_is_kept_beside_it(
    router: Router,
) -> None:
    words = "there is a problem with the lot behind us"
    alone = route(router, words)
    routed = route(router, words, problem_type="Zoning")

    assert routed.problem_type == "Zoning"
    assert routed.reasons[0] == 'Type "Zoning": the resident chose it'
    assert routed.guess is not None
    assert alone.guess is not None
    assert (routed.guess.problem_type, routed.guess.model) == ("Zoning", router.model.version)
    assert alone.problem_type != "Zoning"


def test_where_words_and_choice_disagree_too_much_a_person_decides(router: Router) -> None:
    """A residents' slip of the finger does not send a dead deer to the planners."""
    routed = route(router, "dead deer on the road, dead animal", problem_type="Zoning")

    assert routed.reasons[0] == 'The resident chose "Zoning"'
    assert routed.guess is not None
    assert routed.guess.problem_type == "Dead Animal"
    assert routed.problem_type in (None, "Dead Animal")
    kinds = {one.problem_type for one in routed.alternatives} | {routed.problem_type}
    assert "Dead Animal" in kinds


def test_what_was_read_is_told_even_where_nobody_heeds_it(router: Router) -> None:
    routed = route(router, "dead deer", problem_type="Zoning", entered_by="tess.calloway")

    assert routed.problem_type == "Zoning"
    assert routed.guess is not None
    assert routed.guess.problem_type == "Dead Animal"
    assert any("deer" in word for word in routed.guess.words)
    assert routed.shadow is None


def test_a_city_that_asks_for_more_precision_leaves_more_to_people(router: Router) -> None:
    texts = [example.text for example in router.city.examples[::40]]
    heard = [complaint(text, number) for number, text in enumerate(texts)]

    def sorted_alone(precision: float) -> int:
        rules = router.city.classifier.model_copy(update={"precision": precision})
        city = router.city.model_copy(update={"classifier": rules})
        return sum(one.problem_type is not None for one in Router(city, router.models).route(heard))

    few, some, most = (sorted_alone(precision) for precision in (0.98, 0.8, 0.5))
    assert few < some < most


# ── models ──────────────────────────────────────────────────────────────────────────────────────


def test_the_model_that_comes_along_is_of_these_examples(router: Router) -> None:
    """Else: `make model`."""
    assert written_version(router.city) == read(router.city.folder / SHIPPED).version
    assert (router.city.folder / SHIPPED).stat().st_size < 2_000_000


def test_one_of_older_examples_answers_while_it_knows_every_type(
    router: Router, tmp_path: Path
) -> None:
    fewer = router.city.model_copy(update={"examples": router.city.examples[1:]})
    with capture_logs() as logged:
        other = open_router(fewer, tmp_path)

    assert other.model.version == router.model.version
    assert any("buckstop model make" in line["event"] for line in logged)


def test_a_shadow_is_asked_and_not_heeded_until_it_is_promoted(
    router: Router, tmp_path: Path
) -> None:
    told = [Lesson("Zoning", f"purple fence number {word}") for word in "abcdefgh"]
    told += [Lesson("Noise", f"yellow fence number {word}") for word in "abcdefgh"]
    folder = ModelFolder(tmp_path)
    with pytest.raises(BadModel, match="fewer than two types"):
        folder.cast_shadow(told[:8], router.city)
    one = open_router(router.city, tmp_path)
    assert not one.renew()

    shadow = folder.cast_shadow(told, router.city)
    assert one.renew()
    (routed,) = one.route([complaint("purple fence", 1)])
    assert routed.model == router.model.version
    assert routed.shadow is not None
    assert (routed.shadow.model, routed.shadow.problem_type) == (shadow.version, "Zoning")

    folder.promote()
    assert one.renew()
    (routed,) = one.route([complaint("purple fence", 1)])
    assert (routed.model, routed.shadow) == (shadow.version, None)

    # Half a file stops no routing: the written examples answer, and operators are told.
    (tmp_path / ACTIVE).write_bytes(b"PK half a file")
    with capture_logs() as logged:
        assert one.renew()
    assert one.model.version == router.model.version
    assert logged[0]["event"] == "a model cannot be used"


def test_what_the_call_taker_chose_decides(router: Router) -> None:
    routed = route(router, "dead deer", problem_type="Zoning", entered_by="tess.calloway")

    assert routed.reasons[0] == 'Type "Zoning": the call taker chose it'


def test_an_unknown_choice_is_told_and_the_text_decides(router: Router) -> None:
    routed = route(router, "dead deer on the road", problem_type="Spaceship")

    assert routed.problem_type == "Dead Animal"
    assert routed.reasons[0] == '"Spaceship" was chosen, which is no type of this city'


def test_only_staff_may_choose_what_is_for_staff(router: Router) -> None:
    wanted = "Proactive Officer Investigation"

    assert route(router, "?", problem_type=wanted).problem_type is None
    routed = route(router, "?", problem_type=wanted, entered_by="alex.reed")
    assert routed.problem_type == wanted
    assert routed.department == "CD-NEIGHBORHOOD SERVICES"


def test_what_is_for_staff_is_never_guessed(router: Router) -> None:
    assert "Proactive Officer Investigation" not in router.model.labels
    assert len(router.model.labels) == TYPES


def test_danger_is_flagged_and_still_filed(router: Router) -> None:
    routed = route(router, "A power line is down across the street")

    assert routed.emergency
    assert routed.reasons[0] == (
        'Emergency, wires: the text says "power line is down across the street"'
    )


def test_a_rule_decides_and_says_so(router: Router) -> None:
    routed = route(router, "someone dumped a couch and tires in the park by the playground")

    assert routed.problem_type == "Illegal Dumping/Litter on Public Property"
    assert routed.rule == "Dumping and dead animals in parks"
    assert routed.department == "PRT-PARK MAINTENANCE"
    assert routed.trace[-1].outcome == "fits"
    assert 'The rule "Dumping and dead animals in parks" sends it to PRT-PARK MAINTENANCE' in (
        routed.reasons
    )


def test_a_rule_that_cannot_run_is_told_to_operators_and_its_complaint_to_triage(
    router: Router,
) -> None:
    rule = Rule.model_validate({"name": "ghosts", "people": ["nobody.here"]})
    city = router.city.model_copy(
        update={"rules": router.city.rules.model_copy(update={"rule": (rule,)})}
    )
    with capture_logs() as logged:
        routed = route(Router(city, router.models), "Huge pothole on 23rd, it blew my tire")

    assert (routed.problem_type, routed.department) == ("Pothole/Street Maintenance", None)
    assert routed.trace[-1].outcome == "broken"
    (line,) = [line for line in logged if line["event"] == "rule cannot run"]
    assert line["log_level"] == "error"
    assert (line["rule"], line["reason"]) == ("ghosts", '"nobody.here" is nobody who works here')


def test_absence_is_asked_on_the_day_of_the_routing_and_hours_of_the_complaint(
    router: Router,
) -> None:
    """A case that is routed again goes to who is there now, by the rule of when it came in."""
    away = {"away_from": date(2026, 3, 1), "away_until": date(2026, 3, 31)}
    people = tuple(
        person.model_copy(update=away if person.id == "jo.linden" else {})
        for person in router.city.people
    )
    other = Router(router.city.model_copy(update={"people": people}), router.models)
    heard = [complaint("Huge pothole on 23rd, it blew my tire", 1, lat=39.0911, lon=-94.4155)]
    (then,) = other.route(heard)
    (later,) = other.route(heard, at=datetime(2026, 4, 2, tzinfo=UTC))

    assert then.teams[0].people == ("pat.moore",)
    assert later.teams[0].people == ("jo.linden",)


def test_an_address_in_the_text_is_kept(router: Router) -> None:
    routed = route(router, "trash piled up at 1109 S Arlington Ave")

    assert routed.address == "1109 S Arlington Ave"
    assert routed.district is None


def test_outside_the_city_there_is_no_district(router: Router) -> None:
    routed = route(router, "trash piled up in the yard", lat=38.5, lon=-94.4)

    assert routed.district is None
    assert "No district: the point lies outside the city" in routed.reasons


@pytest.mark.parametrize("text", ["\x00" * 10, "\U0001f4a9" * 99, "شارع مظلم", "x" * 100_000])
def test_odd_texts_are_routed_too(router: Router, text: str) -> None:
    assert route(router, text).complaint_id


def test_the_same_complaints_give_the_same_facts(router: Router) -> None:
    heard = [complaint("pothole", number) for number in range(20)]

    assert router.route(heard) == router.route(heard)
    assert router.route([]) == []


def test_suggestions_while_typing(router: Router) -> None:
    suggested = router.suggest("street light is out")

    assert suggested[0].problem_type == "Street Light Out"
    assert len(suggested) == 3
    assert router.suggest("  ") == []


@pytest.mark.parametrize("words", [5, 2_000])
async def test_the_listener_tells_what_was_routed(router: Router, words: int) -> None:
    told: list[Fact] = []

    async def tell(facts: Sequence[Fact]) -> None:
        told.extend(facts)

    (listener,) = [one for one in listeners(router, tell) if ComplaintReceived in one.contracts]
    heard = [complaint("pothole " * words, number) for number in range(3)]
    before = datetime.now(UTC)
    await listener.handle(heard)

    assert (listener.durable, listener.stream) == ("router_complaint_received", "COMPLAINTS")
    assert [fact.message_id for fact in told] == [
        fact_id("routed", each.message_id) for each in heard
    ]
    assert all(fact.occurred_at >= before for fact in told)


def test_a_batch_is_routed_fast(router: Router) -> None:
    # Loose on purpose: a shared machine is slow, a mistake is ten times slower.
    texts = [example.text for example in router.city.examples][: 128 * 4]
    heard = [complaint(text, number) for number, text in enumerate(texts)]
    begun = time.process_time()
    for start in range(0, len(heard), 128):
        router.route(heard[start : start + 128])

    assert (time.process_time() - begun) / len(heard) < 0.003
    begun = time.process_time()
    router.route(heard[:1])
    assert time.process_time() - begun < 0.05
