"""Docker's stats API as far as the collector asks it: who answers, and when, is the test's to say."""

import asyncio
from collections import Counter

BOUND = 5.0


class Source:
    """Answers with a number of threads that counts the questions; a container can be told to hang or to fail.

    Attributes:
        asked: How often each was asked.
        hanging: Those that get no answer while they are here.
        failing: The error each of these gets.
        most: The greatest number of questions that were open at once.
    """

    def __init__(self):
        self.asked = Counter()
        self.hanging = set()
        self.failing = {}
        self.answers = {}
        self.open = self.most = 0
        self._changed = asyncio.Event()

    async def stats(self, container):
        """Return one answer."""
        self.asked[container] += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            self._tell()
            await self.until(lambda: container not in self.hanging)
            if container in self.failing:
                raise self.failing[container]
            return self.answers.get(container, {"pids_stats": {"current": self.asked[container]}})
        finally:
            self.open -= 1
            self._tell()

    async def until(self, condition):
        """Wait until a condition holds; it is looked at with every question and answer."""
        async with asyncio.timeout(BOUND):
            while not condition():
                await self._changed.wait()

    def release(self):
        """Answer those that hang."""
        self.hanging.clear()
        self._tell()

    def _tell(self):
        self._changed.set()
        self._changed = asyncio.Event()
