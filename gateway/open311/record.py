"""A case as GeoReport v2 tells it. Pure."""

from collections.abc import Sequence
from datetime import datetime

from channels.open311_form import words_and_answers
from channels.open311_services import UNSURE, ServiceBook, in_language
from gateway.open311.book import OUTCOMES, UNSURE_NAME, PublicBook
from gateway.open311.public_words import public_address, public_words, zip_code
from store.model import Outcome, Status
from store.published import PublicChange, PublicRow

_OF_STATUS = {
    Status.NEW: "open",
    Status.TRIAGE: "for_triage",
    Status.ASSIGNED: "investigating",
    Status.IN_PROGRESS: "in_progress",
}
_OF_OUTCOME = {
    Outcome.FIXED: "fixed",
    Outcome.NO_VIOLATION: "no_further_action",
    Outcome.REFERRED: "not_councils_responsibility",
    Outcome.DUPLICATE: "duplicate",
    Outcome.CANNOT: "no_further_action",
}
_SUMMARIES = {
    "opened": "Received",
    "routed": "Given to a department",
    "assigned": "Given to a department",
    "started": "Work has begun",
    "noted": "Note",
    "closed": "Closed",
    "reopened": "Opened again",
}
_NOTE_TYPES = {"opened": "submitted", "closed": "closed", "reopened": "opened"}


class Teller:
    """Tells cases in one language."""

    def __init__(
        self, book: PublicBook, services: ServiceBook, base_url: str, language: str = "en"
    ) -> None:
        """`base_url`: of Open311, without a slash at the end."""
        self.book = book
        self._services = services
        self._base_url = base_url
        self._language = language

    def request(self, row: PublicRow) -> dict[str, object]:
        """A `request` with the fields of the standard."""
        return {
            "service_request_id": row.reference,
            "status": "closed" if row.status is Status.CLOSED else "open",
            "status_notes": self._status_notes(row),
            "service_name": self.service_name(row.problem_type),
            "service_code": self.service_code(row.problem_type),
            "description": self.description(row),
            "agency_responsible": self._department(row.department),
            "service_notice": None,
            "requested_datetime": self.moment(row.opened_at),
            "updated_datetime": self.moment(row.updated_at),
            "expected_datetime": None,
            "address": self.address(row),
            "address_id": None,
            "zipcode": zip_code(self.address(row)),
            "lat": _rounded(row.lat),
            "long": _rounded(row.lon),
            "media_url": self.photo_url(row, 1) if row.photos else None,
        }

    def extended(self, row: PublicRow, history: Sequence[PublicChange]) -> dict[str, object]:
        """The same with what Chicago and Boston add when asked for `extensions`."""
        return self.request(row) | {
            "attributes": self._attributes(row),
            "extended_attributes": {
                "channel": row.channel,
                "ward": row.district,
                "duplicate": row.outcome is Outcome.DUPLICATE,
                "parent_service_request_id": row.parent,
                "status": extended_status(row.status, row.outcome),
                "photos": [
                    {"media_url": self.photo_url(row, number), "title": f"Photo {number}"}
                    for number in range(1, row.photos + 1)
                ],
            },
            "notes": [self._note(change) for change in history],
        }

    def searched(self, row: PublicRow) -> str:
        """Everything of it that people read: what a search may find."""
        told = (
            self.service_name(row.problem_type),
            " ".join(self.book.keywords.get(row.problem_type or "", ())),
            self.description(row),
            self.address(row),
            row.reference.replace("-", ""),
        )
        return " ".join(part for part in told if part)

    def service_code(self, problem_type: str | None) -> str:
        return self.book.codes[problem_type] if problem_type is not None else UNSURE

    def service_name(self, problem_type: str | None) -> str:
        words = UNSURE_NAME if problem_type is None else self.book.names[problem_type]
        return in_language(words, self._language)

    def description(self, row: PublicRow) -> str | None:
        """What the reporter wrote, where that is public, as it is public."""
        words, _ = words_and_answers(row.text or "")
        return public_words(words, row.names) or None

    def address(self, row: PublicRow) -> str | None:
        return public_address(
            row.address,
            exact=self.book.exact_places,
            landmarks=self.book.landmarks,
            towns=self.book.towns,
        )

    def photo_url(self, row: PublicRow, number: int) -> str:
        return f"{self._base_url}/photos/{row.reference}/{number}.jpg"

    def moment(self, at: datetime) -> str:
        return at.astimezone(self.book.zone).isoformat(timespec="seconds")

    def update(self, change: PublicChange, status: str) -> dict[str, object]:
        """A `request_update`, as FixMyStreet reads it."""
        return {
            "update_id": str(change.id),
            "service_request_id": change.reference,
            "status": status,
            "description": public_words(change.text or "", change.names),
            "media_url": "",
            "updated_datetime": self.moment(change.at),
        }

    def _status_notes(self, row: PublicRow) -> str | None:
        if row.closing_words:
            return public_words(row.closing_words, row.names)
        if row.status is Status.CLOSED and row.outcome is not None:
            return in_language(OUTCOMES[row.outcome], self._language)
        return public_words(row.note, row.names) if row.note else None

    def _department(self, name: str | None) -> str | None:
        if name is None:
            return None
        return in_language(self.book.departments.get(name, {}), self._language) or None

    def _attributes(self, row: PublicRow) -> list[dict[str, object]]:
        service = self._services.by_type.get(row.problem_type or "")
        if service is None:
            return []
        asked = {in_language(one.ask, "en"): one for one in service.questions}
        told: list[dict[str, object]] = []
        for label, value in words_and_answers(row.text or "")[1]:
            question = asked.get(label)
            if question is None:
                continue  # of what nobody asked, nobody knows whether it may be shown
            keys = {in_language(name, "en"): key for key, name in question.names.items()}
            told.append(
                {
                    "label": in_language(question.ask, self._language),
                    "name": question.code,
                    "value": public_words(value, row.names),
                    "code": keys.get(value),
                }
            )
        return told

    def _note(self, change: PublicChange) -> dict[str, object]:
        return {
            "datetime": self.moment(change.at),
            "type": _NOTE_TYPES.get(change.kind, "activity"),
            "summary": _SUMMARIES[change.kind],
            "description": public_words(change.text or "", change.names) or None,
        }


def extended_status(status: Status, outcome: Outcome | None) -> str:
    """Where a case stands, in the words that FixMyStreet has for it."""
    return _OF_OUTCOME[outcome] if outcome is not None else _OF_STATUS[status]


def statuses(history: Sequence[PublicChange]) -> dict[int, str]:
    """
    The status after each change that is news, by the change's id: it brought words or another
    status. `history` is one case's, oldest first.
    """
    told: dict[int, str] = {}
    status = "open"
    for change in history:
        before = status
        match change.kind:
            case "routed" | "assigned":
                status = "investigating" if change.department else "for_triage"
            case "started":
                status = "in_progress"
            case "reopened":
                status = "reopen"
            case "closed":
                status = _OF_OUTCOME[Outcome(change.outcome)] if change.outcome else "closed"
        if change.kind != "opened" and (change.text or status != before):
            told[change.id] = status
    return told


def _rounded(degrees: float | None) -> float | None:
    return None if degrees is None else round(degrees, 6)
