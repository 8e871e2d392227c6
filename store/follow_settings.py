"""How long a resident's further messages belong to what came before."""

from pydantic import BaseModel, ConfigDict, Field


class FollowSettings(BaseModel):
    """When a further message belongs to what came before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reopen_days: int = Field(default=14, ge=0)
    """Days in which an answer takes a closed case up again; later it opens a new one."""
    joins_within: float = Field(default=60.0, ge=0)
    """Seconds in which a further text is the rest of the first: phones split long ones."""
    follows_within: float = Field(default=1800.0, ge=0)
    """Seconds in which a further text belongs to the same case without a question."""
    ask_place_after: float = Field(default=20.0, ge=0)
    """Seconds that a text without a place has to bring it by itself."""
    waits_for_answer: float = Field(default=24 * 3600.0, gt=0)
    """Seconds after which nobody answers any more: a report is filed with what there is."""
