"""Mails with a report: a fact that one was made becomes a notice for each who wants it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import DictLoader, FileSystemLoader, TemplateError

from bus.contracts import Fact, FileRef, NoticeQueued, ReportFigure, ReportMade
from bus.errors import Refused
from bus.identity import fact_id
from bus.publish import Tell
from notifier.city_words import CityWords
from notifier.render import (
    LONGEST_SUBJECT,
    TEMPLATES,
    BadTemplate,
    city_in,
    environment,
    letters_on,
    one_line,
)

NOTICE = "report"
_KINDS = ("subject.txt", "email.txt", "email.html")
_LONGEST_CELL = 120


class ReportMails:
    """Hears of reports and queues the mails that bring them."""

    def __init__(
        self,
        city: CityWords,
        tell: Tell,
        *,
        base_url: str,
        own_templates: Path | None = None,
        replies_read: bool = False,
    ) -> None:
        """Raises `BadTemplate` when its words are missing or cannot be filled in."""
        self._tell = tell
        self._base_url = base_url.rstrip("/")
        folders = [folder for folder in (own_templates, TEMPLATES) if folder is not None]
        frame = environment(
            loader=FileSystemLoader(folders),
            variable_start_string="[[",
            variable_end_string="]]",
            block_start_string="[%",
            block_end_string="%]",
            comment_start_string="[#",
            comment_end_string="#]",
            keep_trailing_newline=True,
        )
        frame.globals.update(
            city=city,
            band=city.colour,
            on_band=letters_on(city.colour),
            replies_read=replies_read,
        )
        self.languages = tuple(sorted(path.stem for path in (TEMPLATES / "words").iterdir()))
        at = ""
        try:
            flat = {}
            for language in self.languages:
                labels = city_in(city, language)
                for kind in _KINDS:
                    at = f"{NOTICE}/{language}/{kind}"
                    flat[at] = frame.get_template(at).render(
                        language=language, city_name=labels.name, phones=labels.phones
                    )
            self._templates = environment(loader=DictLoader(flat))
            for language in self.languages:
                for sample in _samples(language):
                    at = f"{NOTICE}/{language}"
                    self.write(sample, sample.recipients[0], now=sample.occurred_at)
        except TemplateError as error:
            raise BadTemplate(f"{at}: {type(error).__name__}: {error}") from error

    async def hear(self, facts: Sequence[Fact]) -> None:
        """Returns once every mail is queued. Hearing a fact again gives the same ids."""
        now = datetime.now(UTC)
        told: list[Fact] = []
        for fact in facts:
            if not isinstance(fact, ReportMade):
                raise Refused(f"{fact.tag} is no report")
            told += [self.write(fact, recipient, now=now) for recipient in fact.recipients]
        await self._tell(told)

    def write(self, made: ReportMade, recipient: str, *, now: datetime) -> NoticeQueued:
        """The mail for one of its recipients. The same report and address give the same id."""
        language = made.language if made.language in self.languages else "en"
        values = {
            "title": one_line(made.title, LONGEST_SUBJECT),
            "figures": [
                ReportFigure(
                    name=one_line(one.name, _LONGEST_CELL), value=one_line(one.value, _LONGEST_CELL)
                )
                for one in made.figures
            ],
            "attached": len(made.attachments),
            "report_url": f"{self._base_url}{made.path}" if made.path else "",
        }

        def fill(kind: str) -> str:
            return self._templates.get_template(f"{NOTICE}/{language}/{kind}").render(values)

        return NoticeQueued(
            message_id=fact_id(made.message_id, NOTICE, recipient),
            occurred_at=now,
            # It is about no case; mails with the same report are one thread.
            case_id=fact_id(NOTICE, made.report),
            reference="",
            notice=NOTICE,
            medium="email",
            recipient=recipient,
            language=language,
            subject_line=one_line(fill("subject.txt"), LONGEST_SUBJECT),
            text=fill("email.txt").strip() + "\n",
            html=fill("email.html"),
            attachments=made.attachments,
        )


def _samples(language: str) -> tuple[ReportMade, ReportMade]:
    """One that says everything and one that says the least."""
    least = ReportMade(
        message_id=fact_id("sample report"),
        occurred_at=datetime(2026, 1, 15, 18, 30, tzinfo=UTC),
        report="service-requests",
        title="x",
        language=language,
        recipients=("somebody@example.org",),
    )
    file = FileRef(sha256="0" * 64, media_type="application/pdf", name="report.pdf", size=9)
    figure = ReportFigure(name="x", value="1")
    full = {"figures": (figure, figure), "path": "/staff/reports", "attachments": (file,)}
    return least, least.model_copy(update=full)
