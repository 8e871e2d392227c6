"""The table of allowed changes: what a case can become, and what it never can."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from store.model import ALLOWED, OPEN, Action, NotAllowed, Status, actions, can_change, check_change


class CaseOnPaper(RuleBasedStateMachine):
    """
    A case to which anybody may try anything, beside a model that knows only two things: whether
    it is closed, and whether a department has it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status = Status.NEW
        self.department = False
        self.closed = False

    def attempt(self, after: Status, action: Action) -> bool:
        try:
            check_change(self.status, after, action)
        except NotAllowed:
            return False
        self.status = after
        return True

    @rule()
    def give_to_a_department(self) -> None:
        assert self.attempt(Status.ASSIGNED, Action.PLACE) is not self.closed
        self.department = self.department or not self.closed

    @precondition(lambda self: self.status is not Status.TRIAGE)
    @rule()
    def send_to_triage(self) -> None:
        assert self.attempt(Status.TRIAGE, Action.PLACE) is not self.closed
        self.department = self.department and self.closed

    @precondition(lambda self: self.status is not Status.IN_PROGRESS)
    @rule()
    def start(self) -> None:
        may = self.department and not self.closed
        assert self.attempt(Status.IN_PROGRESS, Action.START) is may

    @rule()
    def close(self) -> None:
        assert self.attempt(Status.CLOSED, Action.CLOSE) is not self.closed
        self.closed = True

    @rule()
    def reopen(self) -> None:
        after = Status.ASSIGNED if self.department else Status.TRIAGE
        assert self.attempt(after, Action.REOPEN) is self.closed
        self.closed = False

    @rule()
    def join_to_another(self) -> None:
        before = self.status
        sorted_out = not self.closed and before is not Status.NEW
        assert self.attempt(Status.CLOSED, Action.MERGE) is sorted_out
        if sorted_out:
            assert self.attempt(before, Action.UNMERGE), "it is what it was"

    @rule(after=st.sampled_from(Status), action=st.sampled_from(Action))
    def try_what_the_table_does_not_have(self, after: Status, action: Action) -> None:
        if (self.status, after, action) not in ALLOWED:
            assert not self.attempt(after, action)

    @invariant()
    def status_and_model_agree(self) -> None:
        assert (self.status is Status.CLOSED) is self.closed
        if self.status in (Status.ASSIGNED, Status.IN_PROGRESS):
            assert self.department
        if self.status in (Status.NEW, Status.TRIAGE):
            assert not self.department


TestCaseOnPaper = CaseOnPaper.TestCase
TestCaseOnPaper.settings = settings(max_examples=60, deadline=None)


def test_every_open_status_can_be_closed_and_a_closed_one_only_reopened() -> None:
    assert all(can_change(status, Status.CLOSED) for status in OPEN)
    assert actions(Status.CLOSED) == {Action.REOPEN, Action.UNMERGE}


def test_nothing_becomes_new_again() -> None:
    assert not any(can_change(status, Status.NEW) for status in Status)


def test_every_change_has_its_reason() -> None:
    assert all(ALLOWED.values())


def test_what_joins_another_case_was_sorted_and_comes_back_as_it_was() -> None:
    joins = {before for before, _, action in ALLOWED if action is Action.MERGE}
    assert joins == {after for _, after, action in ALLOWED if action is Action.UNMERGE}
    assert joins == OPEN - {Status.NEW}
    with pytest.raises(NotAllowed, match="still being sorted"):
        check_change(Status.NEW, Status.CLOSED, Action.MERGE)
    with pytest.raises(NotAllowed, match="not joined"):
        check_change(Status.ASSIGNED, Status.TRIAGE, Action.UNMERGE)


def test_a_closed_case_says_what_to_do_first() -> None:
    with pytest.raises(NotAllowed, match="Reopen it first"):
        check_change(Status.CLOSED, Status.IN_PROGRESS, Action.START)
