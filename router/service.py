"""
The router: every complaint that is received gets its type, its place and its desk, with reasons.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import structlog

from bus import contracts
from bus.contracts import (
    Alternative,
    CanaryReceived,
    CanaryRouted,
    CaseAmended,
    ComplaintReceived,
    ComplaintRouted,
    Fact,
    Person,
    PlaceChoice,
    Team,
    TypeGuess,
)
from bus.identity import fact_id
from bus.publish import Tell
from bus.worker import Listener
from router.assign import Group, assign
from router.classify import Classifier, Guess, Model
from router.locate import Answer, Located, Locator, Outcome, Spot
from router.match import Asked, Matcher
from router.models import ModelFolder, Models
from router.referrals import Referral
from router.rules import City, Worker

log = structlog.stdlib.get_logger()

# Up to so many letters the answer takes a few milliseconds, less than a thread is worth.
_INLINE = 2_000

_LOOK_FOR_MODELS = 5.0  # seconds


class Router:
    """One city's rules and its trained models; answers batches, keeps nothing."""

    def __init__(self, city: City, models: Models, folder: ModelFolder | None = None) -> None:
        """`folder` is where other models may come in while it runs."""
        self.city = city
        self._folder = folder
        self._marks = folder.marks() if folder else ()
        self._put(models)
        self.locator = Locator(
            city.boundary,
            city.districts,
            city.gazetteer,
            city=city.name,
            state=city.state_code,
        )
        self._matcher = Matcher(city.rules, city)
        self._dangers = city.emergency_words  # made ready now, and not by the first complaint

    @property
    def model(self) -> Model:
        """The model that answers."""
        return self.models.active

    def renew(self) -> bool:
        """
        Takes up the models that have come into the folder since; whether there were any.

        Takes seconds when there are. What is being routed meanwhile is routed by the old ones.
        """
        marks = self._folder.marks() if self._folder else ()
        if self._folder is None or marks == self._marks:
            return False
        models = self._folder.open(self.city)
        self._put(models)
        self._marks = marks
        shadow = models.shadow.version if models.shadow else None
        log.info("other models answer", model=models.active.version, shadow=shadow)
        return True

    def _put(self, models: Models) -> None:
        departments = {
            kind.name: self.city.department_of_type[kind.name] for kind in self.city.offered
        }
        precision = self.city.classifier.precision
        # One assignment: a batch on another thread has the old pair or the new one.
        self.models = models
        self._minds = (
            Classifier(models.active, departments, precision=precision),
            Classifier(models.shadow, departments, precision=precision) if models.shadow else None,
        )

    @property
    def classifier(self) -> Classifier:
        """The model that answers, in this city's hands."""
        return self._minds[0]

    def route(
        self,
        complaints: Sequence[ComplaintReceived],
        *,
        at: datetime | None = None,
        places: Sequence[Located] | None = None,
    ) -> list[ComplaintRouted]:
        """
        Where each complaint belongs, in their order.

        Pure: the same complaints give the same facts. `at` is when it was decided, and the day on
        which people are there or away; without it, each fact bears the time of its complaint.
        `places` are theirs where they are known already; else `locate` says them.
        """
        texts = [complaint.text for complaint in complaints]
        chosen = [self._chosen_by_resident(complaint) for complaint in complaints]
        mind, other = self._minds
        guesses = mind.guess(texts, chosen=chosen)
        shadows: Sequence[TypeGuess | None] = [None] * len(texts)
        if other is not None:
            shadows = [_guessed(other.model, one) for one in other.guess(texts, chosen=chosen)]
        if places is None:
            places = self.locate(complaints)
        return [
            self._routed(
                complaint,
                guess,
                _guessed(mind.model, guess),
                shadow,
                place,
                at or complaint.occurred_at,
            )
            for complaint, guess, shadow, place in zip(
                complaints, guesses, shadows, places, strict=True
            )
        ]

    def locate(self, complaints: Sequence[ComplaintReceived]) -> list[Located]:
        """Where each complaint is, in their order."""
        return self.locator.locate([spot_of(complaint) for complaint in complaints])

    def suggest(self, text: str, count: int = 3) -> list[Alternative]:
        """The problem types that a text may be about, most likely first; for pages, at once."""
        if not text.strip():
            return []
        (guess,) = self.classifier.guess([text])
        return [_alternative(*each) for each in guess.ranked[:count]]

    def _chosen_by_resident(self, complaint: ComplaintReceived) -> tuple[str, float] | None:
        """The type that a resident chose, and how often such choices are right."""
        if complaint.problem_type is None or complaint.entered_by is not None:
            return None
        kind = self.city.types_by_name.get(complaint.problem_type.strip())
        if kind is None or not kind.offered:
            return None
        return kind.name, self.city.classifier.residents_right

    def _routed(
        self,
        complaint: ComplaintReceived,
        guess: Guess,
        guessed: TypeGuess,
        shadow: TypeGuess | None,
        place: Located,
        at: datetime,
    ) -> ComplaintRouted:
        # Of an answer only what is new: our own mails, which it quotes, say "call 911".
        fresh = complaint.follows.fresh if complaint.follows else None
        danger = self._dangers.found_in(fresh or complaint.text)
        emergency = danger is not None or complaint.emergency
        problem_type, confidence, type_reasons = self._type_of(complaint, guess)
        referral = self.city.referrals.of(place, problem_type, complaint.text)
        decision = self._matcher.decide(
            Asked(
                at=complaint.occurred_at,
                text=complaint.text,
                problem_type=problem_type,
                district=place.district,
                address=place.address,
                lat=place.lat,
                lon=place.lon,
                channel=complaint.channel,
                language=complaint.language,
                emergency=emergency,
            )
        )
        if decision.caught:
            broken = decision.tried[-1]
            log.error(
                "rule cannot run",
                rule=broken.rule,
                condition=broken.condition,
                reason=broken.found,
                complaint_id=str(complaint.message_id),
            )
        today = at.astimezone(self.city.zone).date()
        assigned = assign(self.city, decision, complaint.message_id, place.district, today)
        return ComplaintRouted(
            message_id=routed_id(complaint.message_id),
            occurred_at=at,
            complaint_id=complaint.message_id,
            reference=complaint.reference,
            channel=complaint.channel,
            problem_type=problem_type,
            confidence=confidence,
            alternatives=tuple(
                _alternative(*each) for each in guess.ranked[:4] if each[0] != problem_type
            )[:3],
            address=place.address,
            lat=place.lat,
            lon=place.lon,
            place=(Outcome.REFER if referral and referral.certain else place.outcome).value,
            place_choices=tuple(
                PlaceChoice(name=choice.name, lat=choice.lat, lon=choice.lon)
                for choice in place.choices
            ),
            place_later=place.later,
            referral=_referral(referral) if referral else None,
            district=place.district,
            department=assigned.department,
            assignee=_person(assigned.person) if assigned.person else None,
            emergency=emergency,
            reasons=(
                *((f'Emergency, {danger.kind}: the text says "{danger.words}"',) if danger else ()),
                *type_reasons,
                place.reason,
                *((_said_of(referral),) if referral else ()),
                *assigned.reasons,
                # Where the store picks the person, it says why.
                *((assigned.person_reason,) if not assigned.groups and assigned.department else ()),
            ),
            model=guessed.model,
            guess=guessed,
            shadow=shadow,
            teams=tuple(_team(group) for group in assigned.groups),
            rule=decision.rule,
            trace=decision.tried,
            rules=self.city.version,
        )

    def _type_of(
        self, complaint: ComplaintReceived, guess: Guess
    ) -> tuple[str | None, float | None, list[str]]:
        reasons: list[str] = []
        chosen = (complaint.problem_type or "").strip()
        if chosen:
            kind = self.city.types_by_name.get(chosen)
            if kind is None:
                reasons.append(f'"{chosen[:80]}" was chosen, which is no type of this city')
            elif not kind.offered and complaint.entered_by is None:
                reasons.append(f'"{chosen}" was chosen, which only staff may choose')
            elif complaint.entered_by is not None or not complaint.text.strip():
                who = "the resident" if complaint.entered_by is None else "the call taker"
                reasons.append(f'Type "{kind.name}": {who} chose it')
                read = guess.probability_of(kind.name) if complaint.text.strip() else None
                return kind.name, read, reasons
            else:
                return self._weighed(kind.name, guess, reasons)

        best, probability = guess.ranked[0]
        because = _because(guess)
        if guess.sure:
            reasons.append(f'Type "{best}" ({probability:.2f}){because}')
            return best, probability, reasons
        if not complaint.text.strip():
            reasons.append("No type: there is no text to read")
        else:
            reasons.append(f'No type: not sure of "{best}" ({probability:.2f}){because}')
        return None, None, reasons

    def _weighed(
        self, chosen: str, guess: Guess, reasons: list[str]
    ) -> tuple[str | None, float | None, list[str]]:
        """The type where a resident chose one and wrote something besides."""
        best, probability = guess.ranked[0]
        if best == chosen or guess.probability_of(chosen) is None:
            reasons.append(f'Type "{chosen}": the resident chose it')
            return chosen, guess.probability_of(chosen), reasons
        reasons.append(f'The resident chose "{chosen}"')
        because = _because(guess)
        if guess.sure:
            reasons.append(f'Type "{best}" ({probability:.2f}) all the same{because}')
            return best, probability, reasons
        reasons.append(f'No type: the text rather says "{best}" ({probability:.2f}){because}')
        return None, None, reasons


def _because(guess: Guess) -> str:
    return f": {', '.join(guess.words)}" if guess.words else ""


def spot_of(complaint: ComplaintReceived) -> Spot:
    """What a complaint says about its place."""
    return Spot(complaint.lat, complaint.lon, complaint.address, complaint.text)


def routed_id(complaint: UUID) -> UUID:
    """The id under which the routing of a complaint is told, however often."""
    return fact_id("routed", complaint)


def open_router(city: City, models: Path) -> Router:
    """
    The router of a city, with the models of a folder.

    Without any there, with the city's written examples: their model comes along with the city, or
    is learned now, half a minute, and kept in the folder for the next start.
    """
    folder = ModelFolder(models)
    router = Router(city, folder.open(city), folder)
    model = router.model
    log.info(
        "router open",
        model=model.version,
        shadow=router.models.shadow.version if router.models.shadow else None,
        types=len(model.labels),
        examples=model.examples,
        threshold=round(router.classifier.threshold, 3),
    )
    return router


async def watch_models(router: Router, stop: asyncio.Event) -> None:
    """Has the router take up models that are promoted or put in shadow while it runs."""
    while not stop.is_set():
        await asyncio.to_thread(router.renew)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_FOR_MODELS)


Find = Callable[[Sequence[str]], Awaitable[Mapping[str, Answer]]]
"""What a geocoder is asked: addresses; what it says of each, in the time that it has."""


async def place_all(
    router: Router, complaints: Sequence[ComplaintReceived], find: Find | None
) -> list[Located]:
    """Where complaints are; a geocoder is asked for those that no list knows."""
    if sum(len(complaint.text) for complaint in complaints) <= _INLINE:
        places = router.locate(complaints)
    else:
        places = await asyncio.to_thread(router.locate, complaints)
    asked = [one.query for one in places if one.query and one.outcome is Outcome.NAMED]
    if find is None or not asked:
        return places
    answers = await find(asked)
    spots = [spot_of(complaint) for complaint in complaints]
    return router.locator.settle(spots, places, answers)


def listeners(router: Router, tell: Tell, find: Find | None = None) -> list[Listener]:
    """What the router hears: every complaint, once it is received. `find` asks a geocoder."""

    async def answer(facts: Sequence[Fact]) -> None:
        canaries = {
            fact.complaint.message_id: fact for fact in facts if isinstance(fact, CanaryReceived)
        }
        complaints = [
            *(fact for fact in facts if isinstance(fact, ComplaintReceived)),
            *(fact.complaint for fact in canaries.values()),
        ]
        now = datetime.now(UTC)
        # Intake and pages share this process's loop: a long batch is read beside it.
        places = await place_all(router, complaints, find)
        if sum(len(complaint.text) for complaint in complaints) <= _INLINE:
            routed = router.route(complaints, at=now, places=places)
        else:
            routed = await asyncio.to_thread(router.route, complaints, at=now, places=places)
        await tell(
            [
                canary_routed(canaries[one.complaint_id], one)
                if one.complaint_id in canaries
                else one
                for one in routed
            ]
        )

    async def look_again(facts: Sequence[Fact]) -> None:
        # Many words may have joined one case since: only how it stands last matters.
        last = {fact.case.case_id: fact for fact in facts if isinstance(fact, CaseAmended)}
        again = [as_told(fact) for fact in last.values()]
        places = await place_all(router, again, find)
        told = await asyncio.to_thread(router.route, again, at=datetime.now(UTC), places=places)
        await tell(
            [
                routed.model_copy(
                    update={
                        "message_id": routed_id(fact.message_id),
                        "amended": True,
                        "rules_changed": fact.rules_changed,
                    }
                )
                for routed, fact in zip(told, last.values(), strict=True)
            ]
        )

    return [
        Listener(
            durable="router_case_amended",
            stream="CASES",
            contracts=(CaseAmended,),
            handle=look_again,
        ),
        Listener(
            durable="router_complaint_received",
            stream="COMPLAINTS",
            contracts=(ComplaintReceived, CanaryReceived),
            handle=answer,
            linger=0.02,
        ),
    ]


def canary_routed(canary: CanaryReceived, routed: ComplaintRouted) -> CanaryRouted:
    """Where a canary would belong; the store learns no more of it."""
    return CanaryRouted(
        message_id=fact_id("canary routed", canary.canary),
        occurred_at=routed.occurred_at,
        canary=canary.canary,
        released_at=canary.released_at,
        problem_type=routed.problem_type,
        district=routed.district,
        department=routed.department,
    )


def as_told(amended: CaseAmended) -> ComplaintReceived:
    """The case as if its resident had said all of it at once."""
    case = amended.case
    return ComplaintReceived(
        message_id=case.case_id,
        occurred_at=case.opened_at,
        channel=case.channel,
        external_id="",
        reference=case.reference,
        text=case.text,
        language=case.language,
        address=case.address,
        lat=case.lat,
        lon=case.lon,
        reporter=case.reporter,
        problem_type=amended.chosen_type,
        entered_by=amended.entered_by,
    )


def _alternative(problem_type: str, probability: float) -> Alternative:
    # Our own values; checking them again costs more than finding them.
    return Alternative.model_construct(problem_type=problem_type, confidence=probability)


def _guessed(model: Model, guess: Guess) -> TypeGuess:
    best, probability = guess.ranked[0]
    return TypeGuess.model_construct(
        problem_type=best,
        confidence=probability,
        words=guess.words,
        sure=guess.sure,
        model=model.version,
    )


def _team(group: Group) -> Team:
    return Team.model_construct(
        people=tuple(person.id for person in group.people),
        why=group.why,
        named=group.named,
        even_away=group.even_away,
    )


def _referral(referral: Referral) -> contracts.Referral:
    return contracts.Referral(
        agency=referral.agency,
        how=referral.how,
        because=referral.because,
        certain=referral.certain,
    )


def _said_of(referral: Referral) -> str:
    concerns = "concerns" if referral.certain else "may concern"
    return f'It {concerns} {referral.agency}: "{referral.because}"'


def _person(worker: Worker) -> Person:
    return Person(id=worker.id, name=worker.name, email=worker.email, phone=worker.phone)
