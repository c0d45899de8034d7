"""Asks `cargo digits serve` a thousand times a second, one request in a hundred hostile, and counts what fails.

    cargo digits serve --quiet &
    python digits/tests/page/load.py 127.0.0.1:7028 [SECONDS] [REQUESTS A SECOND]

Only the standard library is used. It ends with an AssertionError if a good request fails, or a hostile one gets
anything but a 4xx or a closed connection.
"""

import asyncio
import collections
import random
import sys
import time

HOST, PORT = sys.argv[1].rsplit(":", 1)
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 10
RATE = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
assert HOST in ("127.0.0.1", "localhost", "::1"), "only this machine is asked"
CONNECTIONS = 32
SIDE = 84


def drawing(seed):
    """A few thick strokes."""
    rng, ink = random.Random(seed), bytearray(SIDE * SIDE)
    x, y = rng.randrange(20, 60), rng.randrange(15, 40)
    for _ in range(60):
        x = min(76, max(6, x + rng.randrange(-2, 3)))
        y = min(76, max(6, y + rng.randrange(-1, 3)))
        for v in range(-3, 4):
            for u in range(-3, 4):
                ink[(y + v) * SIDE + x + u] = 255
    return bytes(ink)


def post(body, length=None, path=b"/read"):
    length = len(body) if length is None else length
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path, length, body)


GOOD = [post(drawing(seed)) for seed in range(50)]
# What it sends, and whether the connection can be used afterwards.
HOSTILE = [
    post(b"x" * 10),
    post(b"x" * (SIDE * SIDE + 1)),
    post(b"", 10**12),
    post(bytes(SIDE * SIDE)),  # nothing drawn
    post(b"x", path=b"/" + b"a" * 3000),
    b"GET /image/0/-1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /image/%ff/60000 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /image/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"DELETE /read HTTP/1.1\r\nHost: x\r\n\r\n",
    b"BREW / HTCPCP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
    b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
]


async def response(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
    return status, await reader.readexactly(length)


async def hostile(request, counts):
    try:
        reader, writer = await asyncio.open_connection(HOST, int(PORT))
        writer.write(request)
        status, _ = await asyncio.wait_for(response(reader), 15)
        counts["refused" if 400 <= status < 500 else f"hostile got {status}: {request[:60]}"] += 1
        writer.close()
    except (ConnectionError, asyncio.IncompleteReadError):
        counts["closed"] += 1


async def visitor(first, counts, times, slow, begin):
    """Sends its share of the requests, each when it is due."""
    reader, writer = await asyncio.open_connection(HOST, int(PORT))
    for number in range(first, int(RATE * SECONDS), CONNECTIONS):
        await asyncio.sleep(max(0, begin + number / RATE - time.perf_counter()))
        if number % 100 == 99:
            # Some of them are slow; nobody waits for them.
            slow.append(asyncio.create_task(hostile(HOSTILE[number // 100 % len(HOSTILE)], counts)))
            continue
        sent = time.perf_counter()
        writer.write(GOOD[number % len(GOOD)])
        status, body = await response(reader)
        times.append(time.perf_counter() - sent)
        good = status == 200 and b'"probabilities"' in body
        counts["good" if good else f"failed: {status} {body[:80]}"] += 1
    writer.close()


async def one_by_one(count):
    """How long one drawing takes when nothing else is asked, each after the other."""
    reader, writer = await asyncio.open_connection(HOST, int(PORT))
    times = []
    for number in range(count):
        sent = time.perf_counter()
        writer.write(GOOD[number % len(GOOD)])
        await response(reader)
        times.append(time.perf_counter() - sent)
    writer.close()
    return sorted(times)


async def main():
    counts, times, slow, begin = collections.Counter(), [], [], time.perf_counter() + 0.2
    await asyncio.gather(*(visitor(i, counts, times, slow, begin) for i in range(CONNECTIONS)))
    took = time.perf_counter() - begin
    rate = (len(times) + len(slow)) / took
    await asyncio.gather(*slow)
    alone = await one_by_one(300)
    times.sort()
    at = lambda share, of=times: 1000 * of[int(share * (len(of) - 1))]
    print(f"{sum(counts.values())} requests in {took:.1f} s, {rate:.0f} a second")
    print(f"answered after {at(0.5):.2f} ms (median), {at(0.99):.2f} ms (99 %), {at(1):.2f} ms (slowest)")
    print(f"a visitor alone: {at(0.5, alone):.2f} ms (median), {at(0.99, alone):.2f} ms (99 %)")
    for what, count in counts.most_common():
        print(f"{count:8} {what}")
    assert set(counts) <= {"good", "refused", "closed"}, "something failed"
    assert counts["good"] == int(RATE * SECONDS) - counts["refused"] - counts["closed"]


asyncio.run(main())
