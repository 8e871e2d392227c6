"""
A mail server that keeps nothing but when each mail came: `python -m bench.sink PORT FILE`.

It speaks just enough SMTP itself, so that its own work stays small beside what is measured.
"""

import asyncio
import re
import sys
import time
from pathlib import Path

# A subject with letters beyond ASCII has its brackets written out (RFC 2047).
_REFERENCE = re.compile(rb"(?:\[|=5B)([0-9A-Z]{3}-[0-9A-Z]{3}-[0-9A-Z]{2})(?:\]|=5D)")


async def main(port: int, file: Path) -> None:
    with file.open("w", buffering=1) as arrived:

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 sink\r\n")
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    writer.write(b"354 go on\r\n")
                    mail = await reader.readuntil(b"\r\n.\r\n")
                    found = _REFERENCE.search(mail)
                    # When it is all here, before the answer.
                    arrived.write(f"{time.time()} {found[1].decode() if found else '-'}\n")
                    writer.write(b"250 kept\r\n")
                elif word == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                elif word == b"EHLO":
                    writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                else:
                    writer.write(b"250 fine\r\n")
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", port, limit=32 * 1024 * 1024)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
