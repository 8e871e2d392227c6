"""A mail server of a few lines that holds as many mails as one likes; most of them cost nothing."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Crowded:
    """One INBOX; the mails up to `old` are there and never asked for, `fresh` have bodies."""

    def __init__(self, old: int) -> None:
        self.old = old
        self.fresh: dict[int, bytes] = {}
        self.asked: list[str] = []
        self.port = 0
        self._idling: set[asyncio.StreamWriter] = set()

    def deliver(self, raw: bytes) -> int:
        uid = self.old + len(self.fresh) + 1
        self.fresh[uid] = raw
        for writer in self._idling:
            writer.write(b"* %d EXISTS\r\n" % uid)
        return uid

    def answers(self, words: str) -> bytes:
        """What is said before the last line."""
        if words.startswith("CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1 IDLE UIDPLUS MOVE\r\n"
        if words.startswith("SELECT"):
            exists = self.old + len(self.fresh)
            return b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] UIDs valid\r\n" % exists
        if found := re.match(r"UID SEARCH (?:ALL|UID (\d+):\*)", words):
            last = self.old + len(self.fresh)
            first = min(int(found[1] or 1), last)
            return b"* SEARCH " + " ".join(map(str, range(first, last + 1))).encode() + b"\r\n"
        if found := re.match(r"UID FETCH ([\d,]+) \((.*)\)", words):
            return b"".join(self._fetched(int(uid), found[2]) for uid in found[1].split(","))
        return b""

    def _fetched(self, uid: int, what: str) -> bytes:
        raw = self.fresh[uid]
        if "SIZE" in what:
            return b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, uid, len(raw))
        return b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (uid, uid, len(raw), raw)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode().strip():
            tag, _, words = line.partition(" ")
            self.asked.append(words)
            if words == "IDLE":
                self._idling.add(writer)
                writer.write(b"+ idling\r\n")
                await reader.readline()
                self._idling.discard(writer)
            writer.write(self.answers(words) + f"{tag} OK done\r\n".encode())
            await writer.drain()


@asynccontextmanager
async def crowded(old: int) -> AsyncIterator[Crowded]:
    one = Crowded(old)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, limit=2**24)
    one.port = int(server.sockets[0].getsockname()[1])
    async with server:
        yield one
