"""The store of sessions, against a model of it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from algorithms.services.sessions import NoSessionError, Sessions, SessionsFullError

IDLE_S = 10.0


class Model(RuleBasedStateMachine):
    """Sessions are opened, used, closed and forgotten while time goes on; a dict says what should be there."""

    @initialize(most=st.integers(1, 4))
    def begin(self, most):
        self.now, self.most, self.ended, self.alive = 0.0, most, [], {}
        self.numbers = itertools.count()
        self.sessions = Sessions(most, IDLE_S, clock=lambda: self.now)

    def idle_ones(self) -> set[str]:
        return {key for key, (_, used) in self.alive.items() if used + IDLE_S < self.now}

    @rule()
    def open(self):
        for key in self.idle_ones():
            self.alive.pop(key)
        number = next(self.numbers)
        if len(self.alive) == self.most:
            with pytest.raises(SessionsFullError, match=f"all {self.most} sessions are taken") as full:
                self.sessions.open(lambda: pytest.fail("made although there is no room"))
            oldest = min(used for _, used in self.alive.values())
            assert full.value.retry_after_s == max(1.0, oldest + IDLE_S - self.now)
        else:
            key = self.sessions.open(lambda: number, ended=self.ended.append)
            assert key not in self.alive
            self.alive[key] = number, self.now

    @rule(data=st.data())
    def use(self, data):
        if self.alive:
            # By when they were opened: keys are random, and a replay must meet the same session.
            key = data.draw(st.sampled_from(list(self.alive)))
            if key in self.idle_ones():
                with pytest.raises(NoSessionError):
                    self.sessions.get(key)
            else:
                number = self.alive[key][0]
                assert self.sessions.get(key) == number
                self.alive[key] = number, self.now

    @rule(data=st.data())
    def close(self, data):
        if self.alive:
            key = data.draw(st.sampled_from(list(self.alive)))
            number, _ = self.alive.pop(key)
            assert self.sessions.close(key) == (number not in self.ended)
            assert not self.sessions.close(key)
            with pytest.raises(NoSessionError, match="open a new one"):
                self.sessions.get(key)

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def sweep(self):
        idle = {self.alive.pop(key)[0] for key in self.idle_ones()}
        before = set(self.ended)
        self.sessions.end_idle()
        assert idle <= set(self.ended) and set(self.ended) - before <= idle

    @invariant()
    def bounded(self):
        if hasattr(self, "sessions"):
            assert len(self.alive) <= len(self.sessions) <= self.most
            assert len(self.ended) == len(set(self.ended)), "a session ended twice"


TestModel = Model.TestCase


def test_a_session_that_cannot_be_made_takes_no_room():
    sessions = Sessions(1, IDLE_S)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            sessions.open(lambda: 1 / 0)
    assert len(sessions) == 0


def test_idle_sessions_end_by_themselves_and_all_with_the_server():
    async def serve():
        ended = []
        sessions = Sessions(10, 0.02)
        async with sessions.ending_idle_ones():
            sessions.open(lambda: "left", ended=ended.append)
            while not ended:
                await asyncio.sleep(0.001)
            sessions.open(lambda: "last", ended=ended.append)
        return ended, len(sessions)

    assert asyncio.run(serve()) == (["left", "last"], 0)
