"""The floor: aiohttp that reads a body and answers 200, and nothing else."""

import sys

from aiohttp import web


async def answer(request: web.Request) -> web.Response:
    """Read, and say ok."""
    await request.read()
    return web.Response(text="ok")


app = web.Application()
app.router.add_post("/{tail:.*}", answer)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
