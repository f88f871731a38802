"""One tool, as small as it gets: for load measurements.

python examples/echo.py [http://127.0.0.1:7070]
"""

import sys

from ostler import Server, Worker

server = Server("echo", "1.0.0")


@server.tool
async def echo(message: str) -> str:
    """Says it again."""
    return message


if __name__ == "__main__":
    hub = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7070"
    Worker(hub, capacity=4096).serve("default", "default", server).run()
