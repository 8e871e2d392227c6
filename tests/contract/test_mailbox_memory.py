"""What is remembered of a mailbox: UIDs are worth something only under their UIDVALIDITY."""

from uuid import UUID

import asyncpg

from store.mailbox_memory import MailboxMemory, Remembered

BOX = ("311@city.example", "INBOX")
ONE = UUID(int=1)


async def test_a_try_is_counted_before_it_is_made(pool: asyncpg.Pool) -> None:
    memory = MailboxMemory(pool)
    await memory.enter(*BOX, 5)

    await memory.begin(*BOX, [1, 2])
    await memory.begin(*BOX, [2])
    await memory.excuse(*BOX, [1])

    assert await memory.recall(*BOX) == {
        1: Remembered(0, None, False),
        2: Remembered(2, None, False),
    }


async def test_what_was_told_and_settled_stays_known(pool: asyncpg.Pool) -> None:
    memory = MailboxMemory(pool)
    await memory.enter(*BOX, 5)
    await memory.begin(*BOX, [1])
    await memory.told(*BOX, {1: ONE, 9: ONE})
    await memory.settle(*BOX, [9])

    assert await memory.enter(*BOX, 5) == 5
    assert await memory.recall(*BOX) == {1: Remembered(0, ONE, False), 9: Remembered(0, ONE, True)}
    await memory.forget(*BOX, [1, 9])
    assert await memory.recall(*BOX) == {}


async def test_what_is_done_is_left_out_until_the_uids_mean_something_else(
    pool: asyncpg.Pool,
) -> None:
    memory = MailboxMemory(pool)
    await memory.enter(*BOX, 5)
    assert await memory.done_up_to(*BOX) == 0
    await memory.told(*BOX, {1: ONE, 2: ONE, 3: ONE})
    await memory.settle(*BOX, [1, 2])
    await memory.advance(*BOX, 2)
    await memory.advance(*BOX, 1)  # told late, it takes nothing back

    assert await memory.done_up_to(*BOX) == 2
    assert list(await memory.recall(*BOX, after=2)) == [3]
    assert sorted(await memory.recall(*BOX)) == [1, 2, 3]
    await memory.enter(*BOX, 6)
    assert await memory.done_up_to(*BOX) == 0


async def test_another_uidvalidity_forgets_that_folder_alone(pool: asyncpg.Pool) -> None:
    memory = MailboxMemory(pool)
    for folder in ("INBOX", "Processed"):
        assert await memory.enter(BOX[0], folder, 5) is None
        await memory.told(BOX[0], folder, {1: ONE})

    assert await memory.enter(*BOX, 6) == 5

    assert await memory.recall(*BOX) == {}
    assert await memory.recall(BOX[0], "Processed") == {1: Remembered(0, ONE, False)}
