"""PyWa, sync, on FastAPI: checks the signature, reads the message, calls a handler that does nothing."""

import sys

import uvicorn
from fastapi import FastAPI
from pywa import WhatsApp, types

from benchmarks.bodies import NUMBER, SECRET, VERIFY_TOKEN

app = FastAPI()
whatsapp = WhatsApp(phone_id=NUMBER, token="EAAtoken", server=app, verify_token=VERIFY_TOKEN, app_secret=SECRET)


@whatsapp.on_message
def receive(_: WhatsApp, message: types.Message) -> None:
    """Take the message."""


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
