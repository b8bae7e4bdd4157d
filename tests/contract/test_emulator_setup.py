"""Graph's set-up endpoints in the emulator: tokens, callbacks at three levels, registration, arranged worlds."""

import asyncio
import gc
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aerobot.emulator.portal import Portal
from aerobot.emulator.server import Emulator

USER = "15550123456"
SCOPES = ["business_management", "whatsapp_business_management", "whatsapp_business_messaging"]
NOT_SUBSCRIBED = (
    "(#100) Before override the current callback uri, your app must be subscribed to receive messages for "
    "WhatsApp Business Account"
)
FAILED = "(#2200) Callback verification failed with the following errors: "


@dataclass
class Hook:
    """A webhook in a few lines; ``echo`` is what it answers the challenge with, None for the challenge itself."""

    token: str = "hook token"
    echo: str | None = None
    status: int = 200
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer the challenge if the token is right; keep what is delivered."""
        if request.method == "POST":
            self.bodies.append(await request.read())
            self.arrived.set()
            return web.Response()
        self.asked.append(dict(request.query))
        self.headers.append(dict(request.headers))
        if request.query.get("hub.verify_token") != self.token:
            return web.Response(status=403)
        return web.Response(text=self.echo or request.query["hub.challenge"], status=self.status)

    async def first(self) -> bytes:
        """The first delivery, as soon as it is there."""
        async with asyncio.timeout(10):
            await self.arrived.wait()
        return self.bodies[0]


@asynccontextmanager
async def served(hook: Hook) -> AsyncIterator[Hook]:
    app = web.Application()
    app.router.add_route("*", "/hook", hook.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield hook
    finally:
        await runner.cleanup()


class World:
    """An emulator, and Graph calls with its token unless ``token`` says otherwise (``""``: none)."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        given = emulator.credentials
        self.token = given.access_token
        self.number, self.account, self.app = given.phone_number_id, given.business_account_id, given.app_id
        self.arrange = emulator.arrange

    @property
    def portal(self) -> Portal:
        """For short."""
        return self.emulator.portal

    async def call(self, method: str, path: str, *, token: str | None = None, **more: Any) -> tuple[int, Any]:
        given = self.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        url = f"{self.emulator.graph_url}/v25.0/{path}"
        async with self.session.request(method, url, headers=headers, **more) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.text()

    async def done(self, method: str, path: str, **more: Any) -> Any:
        """The answer of a call that has to succeed."""
        status, answer = await self.call(method, path, **more)
        assert status == 200, answer
        return answer

    async def error(self, method: str, path: str, **more: Any) -> tuple[int, int, int | None, str]:
        """HTTP status, code, subcode and message of a call that has to fail, in Meta's envelope."""
        status, answer = await self.call(method, path, **more)
        error = answer["error"]
        assert status >= 400
        assert error["fbtrace_id"].startswith("A")
        assert error["type"] in ("OAuthException", "GraphMethodException")
        return status, error["code"], error.get("error_subcode"), error["message"]

    async def debug(self, value: str | None = None, *, viewer: str | None = None) -> Any:
        """What ``debug_token`` says about a token (default: the main one, seen by our app)."""
        query = {
            "input_token": value or self.token,
            "access_token": viewer or self.portal.app.token,
        }
        return (await self.done("GET", "debug_token", token="", params=query))["data"]

    async def send(self, **more: Any) -> tuple[int, Any]:
        body = {"messaging_product": "whatsapp", "to": f"+{USER}", "type": "text", "text": {"body": "Hi"}}
        return await self.call("POST", f"{self.number}/messages", json=body, **more)

    async def levels(self, **more: Any) -> Any:
        """``webhook_configuration`` of the number."""
        query = {"fields": "webhook_configuration"}
        return (await self.done("GET", self.number, params=query, **more))["webhook_configuration"]

    async def override_number(self, url: str, token: str = "hook token", **more: Any) -> tuple[int, Any]:
        wanted = {"override_callback_uri": url, "verify_token": token}
        return await self.call("POST", self.number, json={"webhook_configuration": wanted}, **more)

    async def subscribe_app(self, url: str, fields: str = "messages", **more: Any) -> tuple[int, Any]:
        body = {"object": "whatsapp_business_account", "callback_url": url, "verify_token": "hook token"}
        body |= {"fields": fields, "access_token": self.portal.app.token} | more
        return await self.call("POST", f"{self.app}/subscriptions", token="", data=body)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    emulator = Emulator(seed=5, receipts_delay=0.01)
    await emulator.start(port=0)
    async with aiohttp.ClientSession() as session:
        yield World(emulator, session)
    await emulator.stop()
    gc.collect()


@pytest.fixture
async def hooks() -> AsyncIterator[list[Hook]]:
    """Three webhooks that answer."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(served(Hook())) for _ in range(3)]


class TestDebugToken:
    async def test_a_healthy_system_user(self, world: World) -> None:
        """All that a client needs to judge a token, as Meta names it."""
        found = await world.debug()
        assert abs(found.pop("issued_at") - time.time()) < 2 * 86400
        assert found.pop("user_id").isdigit()
        assert found == {
            "app_id": world.app,
            "type": "SYSTEM_USER",
            "application": "Aerobot",
            "data_access_expires_at": 0,
            "expires_at": 0,
            "is_valid": True,
            "scopes": SCOPES,
            "granular_scopes": [
                {"scope": "business_management"},
                {"scope": "whatsapp_business_management", "target_ids": [world.account]},
                {"scope": "whatsapp_business_messaging", "target_ids": [world.account]},
            ],
        }

    async def test_a_token_may_look_at_itself(self, world: World) -> None:
        """Without the app's secret, the token is its own viewer."""
        assert (await world.debug(viewer=world.token))["is_valid"] is True

    async def test_a_temporary_token(self, world: World) -> None:
        """A USER token with its end, until that comes."""
        end = int(time.time()) + 7200
        world.arrange(token_type="USER", token_expires_at=end)
        found = await world.debug()
        assert (found["type"], found["expires_at"], found["is_valid"]) == ("USER", end, True)
        assert found["data_access_expires_at"] > end
        world.arrange(token_expires_at=time.time() - 1)
        assert (await world.debug())["error"]["subcode"] == 463

    @pytest.mark.parametrize(
        ("state", "subcode", "words"),
        [
            ("expired", 463, "Error validating access token: Session has expired on "),
            ("invalidated", 467, "Error validating access token: The session is invalid because"),
        ],
    )
    async def test_dead_tokens(self, world: World, state: str, subcode: int, words: str) -> None:
        """The app sees why; the token itself gets 401 and 190 wherever it is used."""
        world.arrange(token=state)
        found = await world.debug()
        assert found["is_valid"] is False
        assert (found["error"]["code"], found["error"]["subcode"]) == (190, subcode)
        assert found["error"]["message"].startswith(words)
        for method, path in (("GET", world.number), ("GET", world.account), ("POST", f"{world.number}/messages")):
            status, code, sub, message = await world.error(method, path)
            assert (status, code, sub) == (401, 190, subcode)
            assert message.startswith(words)
        query = {"input_token": world.token, "access_token": world.token}
        assert (await world.error("GET", "debug_token", token="", params=query))[:3] == (401, 190, subcode)
        world.arrange(token="valid")
        assert (await world.debug())["is_valid"] is True

    async def test_expiry_is_told_in_words(self) -> None:
        """Both times, as Meta writes them."""
        emulator = Emulator(now=lambda: 1_800_000_000.0)
        await emulator.start(port=0)
        async with aiohttp.ClientSession() as session:
            world = World(emulator, session)
            world.arrange(token="expired")
            message = (await world.error("GET", world.number))[3]
        await emulator.stop()
        assert message == (
            "Error validating access token: Session has expired on Thursday, 14-Jan-27 23:00:00 PST. "
            "The current time is Friday, 15-Jan-27 00:00:00 PST."
        )

    async def test_nobodys_token(self, world: World) -> None:
        """What cannot be parsed is an answer about it, not an error of the call."""
        error = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        unknown = {"error": error, "is_valid": False, "scopes": []}
        assert await world.debug("EAAnonsense") == unknown
        assert await world.debug("1|2") == unknown
        world.arrange(token="unknown")
        assert await world.debug() == unknown
        assert (await world.error("GET", world.number))[:2] == (401, 190)

    async def test_another_apps_token(self, world: World) -> None:
        """Our app may not look at it; its own app may; it looks at itself."""
        other = world.portal.other_app
        world.arrange(token_app_id=other.id)
        query = {"input_token": world.token, "access_token": world.portal.app.token}
        wanted = (400, 100, None, "(#100) The App_id in the input_token did not match the Viewing App")
        assert await world.error("GET", "debug_token", token="", params=query) == wanted
        for viewer in (other.token, world.token):
            found = await world.debug(viewer=viewer)
            assert (found["app_id"], found["application"]) == (other.id, "Another app")

    async def test_the_apps_own_token(self, world: World) -> None:
        """It is of type APP and has no scopes."""
        assert await world.debug(world.portal.app.token) == {
            "app_id": world.app,
            "type": "APP",
            "application": "Aerobot",
            "is_valid": True,
            "scopes": [],
        }

    async def test_a_parameter_counts_more_than_the_header(self, world: World) -> None:
        """Clients whose every call has the user's token in the header give the app's own beside it."""
        query = {"access_token": world.portal.app.token}
        path = f"{world.app}/subscriptions"
        assert (await world.error("GET", path))[1] == 15
        assert (await world.done("GET", path, params=query))["data"][0]["object"] == "whatsapp_business_account"
        assert (await world.error("GET", world.number, params={"access_token": "EAAnonsense"}))[:2] == (401, 190)

    async def test_viewers(self, world: World) -> None:
        """A wrong secret, one with a line end, a wrong app, no token, no input: all are errors."""
        query = {"input_token": world.token}

        async def seen(viewer: str) -> tuple[int, int, int | None, str]:
            return await world.error("GET", "debug_token", token="", params=query | {"access_token": viewer})

        assert await seen(f"{world.app}|wrong") == (401, 190, None, "Invalid OAuth access token signature.")
        assert (await seen(f"{world.portal.app.token}\n"))[:2] == (401, 190)
        assert (await seen("123|wrong"))[:2] == (400, 101)
        assert (await seen(""))[:2] == (400, 2500)
        missing = await world.error("GET", "debug_token")
        assert missing == (400, 100, None, "(#100) The parameter input_token is required.")

    async def test_scopes_and_targets(self, world: World) -> None:
        """Missing target ids mean any account."""
        world.arrange(token_scopes=["whatsapp_business_messaging"], token_targets=None)
        found = await world.debug()
        assert found["scopes"] == ["whatsapp_business_messaging"]
        assert found["granular_scopes"] == [{"scope": "whatsapp_business_messaging"}]


class TestPermissions:
    async def test_without_management(self, world: World) -> None:
        """Sending works; numbers, accounts, overrides are refused with 10."""
        world.arrange(token_scopes=["whatsapp_business_messaging"])
        wanted = (403, 10, None, "(#10) Application does not have permission for this action")
        for method, path in (
            ("GET", world.number),
            ("POST", world.number),
            ("POST", f"{world.number}/register"),
            ("GET", world.account),
            ("GET", f"{world.account}/phone_numbers"),
            ("POST", f"{world.account}/subscribed_apps"),
        ):
            assert await world.error(method, path) == wanted
        assert (await world.send())[0] == 200

    async def test_without_messaging(self, world: World) -> None:
        """The other way round."""
        world.arrange(token_scopes=["whatsapp_business_management"])
        assert (await world.send())[1]["error"]["code"] == 10
        assert (await world.error("POST", f"{world.number}/media"))[1] == 10
        await world.done("GET", world.number)

    async def test_not_assigned(self, world: World) -> None:
        """A system user without the account: sends are refused with 200, the rest is not there."""
        world.arrange(token_targets=[world.portal.other_account_id])
        status, answer = await world.send()
        assert (status, answer["error"]["code"]) == (403, 200)
        for node in (world.number, world.account):
            assert (await world.error("GET", node))[:3] == (400, 100, 33)

    async def test_the_apps_token_sees_no_numbers(self, world: World) -> None:
        """It is for the app's settings."""
        assert (await world.error("GET", world.number, token=world.portal.app.token))[1:3] == (100, 33)

    async def test_more_tokens(self, world: World) -> None:
        """Tokens of every kind beside the main one."""
        end = int(time.time()) + 60
        short = world.portal.issue_token(type="USER", expires_at=end, scopes=["whatsapp_business_messaging"])
        found = await world.debug(short)
        assert (found["type"], found["expires_at"], found["is_valid"]) == ("USER", end, True)
        assert found["granular_scopes"][0]["target_ids"] == [world.account]
        assert (await world.send(token=short))[0] == 200
        foreign = world.portal.issue_token(app_id=world.portal.other_app.id, targets=None)
        assert (await world.done("GET", "app", token=foreign))["id"] == world.portal.other_app.id
        with pytest.raises(ValueError, match="no app 'x'"):
            world.portal.issue_token(app_id="x")
        with pytest.raises(ValueError, match="token_type is one of"):
            world.portal.issue_token(type="PAGE")


def proof(token: str, secret: str) -> str:
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()


class TestProof:
    async def test_given(self, world: World) -> None:
        """It must be the token's HMAC under the secret of the token's app, in the query or in the body."""
        good = proof(world.token, world.emulator.credentials.app_secret)
        await world.done("GET", world.number, params={"appsecret_proof": good})
        await world.done("POST", f"{world.account}/subscribed_apps", json={"appsecret_proof": good})
        foreign = proof(world.token, world.portal.other_app.secret)
        wanted = (400, 100, None, "Invalid appsecret_proof provided in the API argument")
        for bad in (foreign, "", "x", good.upper()):
            assert await world.error("GET", world.number, params={"appsecret_proof": bad}) == wanted
        assert await world.error("POST", f"{world.account}/subscribed_apps", json={"appsecret_proof": "x"}) == wanted

    async def test_required(self, world: World) -> None:
        """With the app's setting on, every call wants it."""
        world.arrange(require_proof=True)
        said = "API calls from the server require an appsecret_proof argument"
        assert await world.error("GET", world.number) == (400, 100, None, said)
        good = proof(world.token, world.emulator.credentials.app_secret)
        await world.done("GET", world.number, params={"appsecret_proof": good})


class TestApps:
    async def test_client_credentials(self, world: World) -> None:
        """The app's token for its id and secret; a wrong secret and a wrong app are two errors."""
        path = "oauth/access_token"
        query = {"grant_type": "client_credentials", "client_id": world.app}
        good = query | {"client_secret": world.portal.app.secret}
        answer = await world.done("GET", path, token="", params=good)
        assert answer == {"access_token": world.portal.app.token, "token_type": "bearer"}
        bad = query | {"client_secret": world.portal.app.secret + "\n"}
        found = await world.error("GET", path, token="", params=bad)
        assert found == (400, 1, None, "Error validating client secret.")
        found = await world.error("GET", path, token="", params=good | {"client_id": "123"})
        assert found[:2] == (400, 101)
        assert found[3].startswith("Error validating application.")
        assert (await world.error("GET", path, token="", params=query))[1] == 100
        assert (await world.error("GET", path, token="", params=good | {"grant_type": "x"}))[1] == 100

    async def test_app(self, world: World) -> None:
        """A token finds its app; other apps are not there for it."""
        link = f"https://www.facebook.com/games/?app_id={world.app}"
        wanted = {"category": "Business", "link": link, "name": "Aerobot", "id": world.app}
        for path in ("app", world.app):
            assert await world.done("GET", path) == wanted
        assert await world.done("GET", "app", params={"fields": "name"}) == {"name": "Aerobot", "id": world.app}
        assert await world.done("GET", "app", token="", params={"access_token": world.token}) == wanted
        assert (await world.error("GET", world.portal.other_app.id))[:3] == (400, 100, 33)
        assert (await world.error("GET", f"{world.app}/nosuch"))[3].endswith("(nosuch) on node type (Application)")
        assert (await world.error("POST", world.app))[1:3] == (100, 33)


class TestNumber:
    async def test_every_field(self, world: World) -> None:
        """All fields that tell whether a number can work."""
        names = (
            "verified_name,display_phone_number,code_verification_status,quality_rating,platform_type,throughput,"
            "status,name_status,account_mode,webhook_configuration,whatsapp_business_manager_messaging_limit,"
            "health_status,username"
        )
        digits = world.emulator.credentials.display_phone_number
        entities = [
            {"entity_type": "PHONE_NUMBER", "id": world.number, "can_send_message": "AVAILABLE"},
            {"entity_type": "WABA", "id": world.account, "can_send_message": "AVAILABLE"},
            {"entity_type": "APP", "id": world.app, "can_send_message": "AVAILABLE"},
        ]
        assert await world.done("GET", world.number, params={"fields": names}) == {
            "verified_name": "Aerobot",
            "display_phone_number": f"+1 555-010-{digits[-4:]}",
            "code_verification_status": "VERIFIED",
            "quality_rating": "GREEN",
            "platform_type": "CLOUD_API",
            "throughput": {"level": "STANDARD"},
            "status": "CONNECTED",
            "name_status": "APPROVED",
            "account_mode": "SANDBOX",
            "webhook_configuration": {"application": ""},
            "whatsapp_business_manager_messaging_limit": "TIER_250",
            "health_status": {"can_send_message": "AVAILABLE", "entities": entities},
            "id": world.number,
        }

    @pytest.mark.parametrize(
        ("change", "name", "value"),
        [
            ({"account_mode": "LIVE"}, "account_mode", "LIVE"),
            ({"number_status": "FLAGGED"}, "status", "FLAGGED"),
            ({"quality_rating": "RED"}, "quality_rating", "RED"),
            ({"name_status": "DECLINED"}, "name_status", "DECLINED"),
            ({"code_verification_status": "EXPIRED"}, "code_verification_status", "EXPIRED"),
            ({"throughput": "HIGH"}, "throughput", {"level": "HIGH"}),
            ({"messaging_limit": "TIER_UNLIMITED"}, "whatsapp_business_manager_messaging_limit", "TIER_UNLIMITED"),
            ({"registered": False}, "platform_type", "NOT_APPLICABLE"),
            ({"registered": False}, "status", "DISCONNECTED"),
            ({"registered": False, "number_status": "PENDING"}, "status", "PENDING"),
            ({"pin": ""}, "is_pin_enabled", False),
        ],
    )
    async def test_arranged(self, world: World, change: dict[str, Any], name: str, value: object) -> None:
        """Each of them can be another."""
        world.arrange(**change)
        assert (await world.done("GET", world.number, params={"fields": name}))[name] == value

    async def test_health(self, world: World) -> None:
        """Blocked by arrangement, or because it is not registered, with the cause."""
        query = {"fields": "health_status"}
        world.arrange(health="LIMITED")
        found = (await world.done("GET", world.number, params=query))["health_status"]
        assert found["can_send_message"] == found["entities"][0]["can_send_message"] == "LIMITED"
        world.arrange(registered=False)
        found = (await world.done("GET", world.number, params=query))["health_status"]
        assert found["can_send_message"] == "BLOCKED"
        assert found["entities"][0]["errors"][0]["error_code"] == 133010


class TestRegister:
    async def test_pin(self, world: World) -> None:
        """An unregistered number does not send; the right PIN makes it, a wrong one does not."""
        world.arrange(registered=False)
        status, answer = await world.send()
        assert (status, answer["error"]["code"]) == (400, 133010)
        path = f"{world.number}/register"
        body = {"messaging_product": "whatsapp", "pin": "000000"}
        assert (await world.error("POST", path, json=body))[:2] == (400, 133005)
        assert await world.done("POST", path, json=body | {"pin": "123456"}) == {"success": True}
        assert (await world.send())[0] == 200
        await world.done("POST", path, json=body | {"pin": "123456"})

    async def test_first_pin_is_kept(self, world: World) -> None:
        """A number without a PIN takes the one that it is registered with."""
        world.arrange(registered=False, pin="")
        path = f"{world.number}/register"
        body = {"messaging_product": "whatsapp", "pin": "424242"}
        await world.done("POST", path, data=body)
        assert (await world.error("POST", path, data=body | {"pin": "123456"}))[1] == 133005

    async def test_unusable(self, world: World) -> None:
        """What is missing or no PIN is said; an unverified number is not registered."""
        path = f"{world.number}/register"
        body = {"messaging_product": "whatsapp", "pin": "123456"}
        assert (await world.error("POST", path, json={}))[3].endswith("messaging_product is required.")
        assert (await world.error("POST", path, json={"messaging_product": "whatsapp"}))[3].endswith("pin is required.")
        for pin in ("12345", "1234567", "12345x", "١٢٣٤٥٦"):
            assert (await world.error("POST", path, json=body | {"pin": pin}))[1] == 100
        world.arrange(code_verification_status="NOT_VERIFIED")
        assert (await world.error("POST", path, json=body))[1] == 133006

    async def test_deregister(self, world: World) -> None:
        """Once; then it is not registered."""
        path = f"{world.number}/deregister"
        assert await world.done("POST", path) == {"success": True}
        assert (await world.send())[1]["error"]["code"] == 133010
        assert (await world.error("POST", path))[1] == 133010


class TestAccount:
    async def test_fields(self, world: World) -> None:
        """By default the few that Meta gives."""
        name = "Test WhatsApp Business Account"
        found = await world.done("GET", world.account, params={"fields": "name,currency"})
        assert found == {"name": name, "currency": "USD", "id": world.account}
        assert set(await world.done("GET", world.account)) == {
            "id", "name", "timezone_id", "message_template_namespace",
        }  # fmt: skip

    async def test_swapped_ids_are_recognised(self, world: World) -> None:
        """Graph says of what kind the object is."""
        said = (await world.error("GET", world.account, params={"fields": "verified_name"}))[3]
        assert said.endswith("(verified_name) on node type (WhatsAppBusinessAccount)")
        said = (await world.error("GET", f"{world.number}/phone_numbers"))[3]
        assert said.endswith("(phone_numbers) on node type (WhatsAppBusinessPhoneNumber)")
        assert (await world.error("POST", f"{world.account}/messages"))[1:3] == (100, 33)

    async def test_phone_numbers(self, world: World) -> None:
        """The numbers of this account, and of no other."""
        second = world.portal.add_number("15550107777", "Bakery")
        world.portal.add_number("15550108888", "Elsewhere", account_id=world.portal.other_account_id)
        query = {"fields": "verified_name,status,account_mode"}
        found = (await world.done("GET", f"{world.account}/phone_numbers", params=query))["data"]
        assert found == [
            {"verified_name": "Aerobot", "status": "CONNECTED", "account_mode": "SANDBOX", "id": world.number},
            {"verified_name": "Bakery", "status": "PENDING", "account_mode": "LIVE", "id": second},
        ]
        first = (await world.done("GET", f"{world.account}/phone_numbers"))["data"][0]
        assert set(first) == {
            "verified_name", "code_verification_status", "display_phone_number", "quality_rating", "platform_type",
            "throughput", "webhook_configuration", "id",
        }  # fmt: skip
        body = {"messaging_product": "whatsapp", "to": USER, "text": {"body": "x"}}
        assert (await world.error("POST", f"{second}/messages", json=body))[1] == 133010

    async def test_number_in_another_account(self, world: World) -> None:
        """Our number is not listed where we look for it; the token sees it only if it was granted the other."""
        world.arrange(number_account_id=world.portal.other_account_id)
        assert (await world.done("GET", f"{world.account}/phone_numbers"))["data"] == []
        assert (await world.error("GET", world.number))[1:3] == (100, 33)
        world.arrange(token_targets=None)
        await world.done("GET", world.number)
        [found] = (await world.done("GET", f"{world.portal.other_account_id}/phone_numbers"))["data"]
        assert found["id"] == world.number

    async def test_pages(self, world: World) -> None:
        """Lists come in pages of ``limit``, each with the address of the next."""
        for place in range(6):
            world.portal.add_number(f"1555010200{place}", f"Number {place}")
        found: list[str] = []
        url: str | None = f"{world.emulator.graph_url}/v25.0/{world.account}/phone_numbers?limit=3"
        pages = 0
        while url:
            headers = {"Authorization": f"Bearer {world.token}"}
            async with world.session.get(url, headers=headers) as response:
                answer = await response.json()
            found += [number["id"] for number in answer["data"]]
            url = answer["paging"].get("next")
            pages += 1
        assert (pages, len(found), len(set(found))) == (3, 7, 7)
        path = f"{world.account}/phone_numbers"
        assert (await world.error("GET", path, params={"limit": "x"}))[1] == 100
        assert (await world.error("GET", path, params={"after": "x"}))[1] == 100

    async def test_templates(self, world: World) -> None:
        """``hello_world`` is there from the start; filters narrow the list."""
        path = f"{world.account}/message_templates"
        [hello] = (await world.done("GET", path))["data"]
        assert (hello["name"], hello["language"], hello["status"]) == ("hello_world", "en_US", "APPROVED")
        world.portal.add_template("reminder", "Tomorrow at {{1}}", language="nl", status="PENDING")
        for query in ({"name": "reminder"}, {"status": "PENDING"}, {"language": "nl"}):
            [found] = (await world.done("GET", path, params=query | {"fields": "name"}))["data"]
            assert (set(found), found["name"]) == ({"name", "id"}, "reminder")
        both = await world.done("GET", path, params={"status": "APPROVED,PENDING", "summary": "total_count"})
        assert ([t["name"] for t in both["data"]], both["summary"]) == (["hello_world", "reminder"], {"total_count": 2})

    async def test_one_template(self, world: World) -> None:
        """A template is a node of its own, for those who may see its account."""
        path = f"{world.account}/message_templates"
        [hello] = (await world.done("GET", path))["data"]
        assert await world.done("GET", hello["id"]) == hello
        fields = {"fields": "name,rejected_reason,quality_score"}
        named = {"name": "hello_world", "rejected_reason": "NONE", "id": hello["id"]}
        assert await world.done("GET", hello["id"], params=fields) == named
        assert (await world.error("GET", hello["id"], params={"fields": "nosuch"}))[1] == 100
        assert (await world.error("DELETE", hello["id"]))[2] == 33
        for name, body, wanted in (("n", "Hi {{who}}", "NAMED"), ("p", "Hi {{1}}", "POSITIONAL")):
            world.portal.add_template(name, body)
            [found] = (await world.done("GET", path, params={"name": name}))["data"]
            assert found["parameter_format"] == wanted

    async def test_every_field_of_an_account(self, world: World) -> None:
        """What clients ask an account for is there, or is left out where Meta would have nothing to say."""
        fields = (
            "status,health_status,subscribed_apps,owner_business_info,on_behalf_of_business_info,country,currency,"
            "is_enabled_for_insights,marketing_messages_lite_api_status,disable_marketing_messages_on_cloud_api"
        )
        found = await world.done("GET", world.account, params={"fields": fields})
        assert {*fields.split(","), "id"} - set(found) == {"on_behalf_of_business_info"}
        assert (found["status"], found["health_status"]["can_send_message"]) == ("ACTIVE", "AVAILABLE")
        assert found["subscribed_apps"] == await world.done("GET", f"{world.account}/subscribed_apps")


class TestProfile:
    async def test_set_read_and_remove(self, world: World) -> None:
        """What was set is read; an empty value removes it."""
        path = f"{world.number}/whatsapp_business_profile"
        fresh = {"vertical": "UNDEFINED", "messaging_product": "whatsapp"}
        assert await world.done("GET", path) == {"data": [fresh]}
        profile = {"about": "Open 9 to 18", "websites": ["https://example.com"], "vertical": "RETAIL"}
        body = profile | {"messaging_product": "whatsapp"}
        assert await world.done("POST", path, json=body) == {"success": True}
        assert await world.done("GET", path, params={"fields": ""}) == {"data": [body]}
        gone = {"messaging_product": "whatsapp", "about": "", "websites": [], "vertical": ""}
        await world.done("POST", path, json=gone)
        assert await world.done("GET", path) == {"data": [fresh]}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"about": "x" * 140},
            {"address": "x" * 257},
            {"description": "x" * 513},
            {"email": "x" * 129},
            {"websites": ["https://a", "https://b", "https://c"]},
            {"websites": "https://a"},
            {"vertical": "SPACE"},
            {"messaging_product": "telegram"},
        ],
    )
    async def test_limits(self, world: World, wrong: dict[str, object]) -> None:
        """Meta's lengths, two websites, its own list of trades."""
        body = {"messaging_product": "whatsapp"} | wrong
        assert (await world.error("POST", f"{world.number}/whatsapp_business_profile", json=body))[:2] == (400, 100)


class TestSubscribedApps:
    async def test_subscribe_override_clear_unsubscribe(self, world: World, hooks: list[Hook]) -> None:
        """The whole life of a subscription."""
        path, [hook, *_] = f"{world.account}/subscribed_apps", hooks
        assert await world.done("DELETE", path) == {"success": True}
        assert await world.done("GET", path) == {"data": []}
        override = {"override_callback_uri": hook.url, "verify_token": hook.token}
        assert await world.error("POST", path, json=override) == (400, 100, None, NOT_SUBSCRIBED)
        assert not hook.asked
        long = {"override_callback_uri": "https://e.com/" + "x" * 187, "verify_token": hook.token}
        assert "at most 200 characters" in (await world.error("POST", path, json=long))[3]
        assert await world.done("POST", path) == {"success": True}
        wrong = override | {"verify_token": "wrong"}
        assert (await world.error("POST", path, json=wrong))[:2] == (400, 2200)
        hook.asked.clear()
        link = f"https://www.facebook.com/games/?app_id={world.app}"
        entry = {"whatsapp_business_api_data": {"link": link, "name": "Aerobot", "id": world.app}}
        assert await world.done("GET", path) == {"data": [entry]}
        assert await world.done("POST", path, json=override) == {"success": True}
        assert await world.done("GET", path) == {"data": [entry | {"override_callback_uri": hook.url}]}
        assert await world.levels() == {"whatsapp_business_account": hook.url, "application": ""}
        assert await world.done("POST", path) == {"success": True}
        assert await world.done("GET", path) == {"data": [entry]}
        assert await world.levels() == {"application": ""}

    async def test_two_apps(self, world: World, hooks: list[Hook]) -> None:
        """Each app has its own subscription and override; nobody sees the other's."""
        path, [hook, *_] = f"{world.account}/subscribed_apps", hooks
        foreign = world.portal.issue_token(app_id=world.portal.other_app.id)
        override = {"override_callback_uri": hook.url, "verify_token": hook.token}
        assert (await world.error("POST", path, json=override, token=foreign))[3] == NOT_SUBSCRIBED
        await world.done("POST", path, token=foreign)
        await world.done("POST", path, json=override, token=foreign)
        listed = (await world.done("GET", path))["data"]
        assert [app["whatsapp_business_api_data"]["id"] for app in listed] == [world.app, world.portal.other_app.id]
        assert not any("override_callback_uri" in app for app in listed)
        assert await world.levels() == {"application": ""}
        assert await world.levels(token=foreign) == {"whatsapp_business_account": hook.url, "application": ""}
        await world.done("DELETE", path, token=foreign)
        assert len((await world.done("GET", path))["data"]) == 1


class TestNumberOverride:
    async def test_set_and_remove(self, world: World, hooks: list[Hook]) -> None:
        """The challenge is asked before the answer; an empty string removes without asking anybody."""
        [hook, *_] = hooks
        assert await world.override_number(hook.url) == (200, {"success": True})
        [asked] = hook.asked
        assert asked.pop("hub.challenge").isdigit()
        assert asked == {"hub.mode": "subscribe", "hub.verify_token": hook.token}
        assert "X-Hub-Signature-256" not in hook.headers[0]
        assert await world.levels() == {"phone_number": hook.url, "application": ""}
        assert await world.override_number("", "") == (200, {"success": True})
        assert await world.levels() == {"application": ""}
        assert len(hook.asked) == 1

    async def test_in_the_query(self, world: World, hooks: list[Hook]) -> None:
        """Objects in a query or form are JSON."""
        wanted = f'{{"override_callback_uri":"{hooks[0].url}","verify_token":"hook token"}}'
        await world.done("POST", world.number, params={"webhook_configuration": wanted})
        await world.done("POST", world.number, data={"webhook_configuration": wanted})
        assert len(hooks[0].asked) == 2

    async def test_subscription_comes_first(self, world: World, hooks: list[Hook]) -> None:
        """Without it the challenge is not even asked."""
        world.arrange(account_subscribed=False)
        status, answer = await world.override_number(hooks[0].url)
        assert (status, answer["error"]["code"], answer["error"]["message"]) == (400, 100, NOT_SUBSCRIBED)
        assert not hooks[0].asked

    @pytest.mark.parametrize(
        ("wanted", "words"),
        [
            (None, "The parameter webhook_configuration is required."),
            ("x", "must be a JSON object."),
            ({"verify_token": "x"}, "['override_callback_uri'] is required."),
            ({"override_callback_uri": 7.5, "verify_token": "x"}, "must be a string."),
            ({"override_callback_uri": "https://e.com/" + "x" * 187, "verify_token": "x"}, "at most 200 characters"),
            ({"override_callback_uri": "https://e.com"}, "The parameter verify_token is required."),
            ({"override_callback_uri": "http://e.com", "verify_token": "x"}, "valid URI with the scheme https"),
            ({"override_callback_uri": "ftp://e.com", "verify_token": "x"}, "valid URI with the scheme https"),
            ({"override_callback_uri": "https://[", "verify_token": "x"}, "valid URI with the scheme https"),
        ],
    )
    async def test_unusable(self, world: World, wanted: object, words: str) -> None:
        """100 with what is wrong."""
        body = {} if wanted is None else {"webhook_configuration": wanted}
        status, code, _, message = await world.error("POST", world.number, json=body)
        assert (status, code) == (400, 100)
        assert words in message

    async def test_200_characters_are_not_too_many(self, world: World, hooks: list[Hook]) -> None:
        """The limit itself passes."""
        url = hooks[0].url + "?"
        status, answer = await world.override_number(url + "x" * (200 - len(url)))
        assert status == 200, answer

    @pytest.mark.parametrize(
        ("hook", "message"),
        [
            (Hook(token="other"), f"{FAILED}HTTP Status Code = 403; HTTP Message = Forbidden"),
            (Hook(status=204), f"{FAILED}HTTP Status Code = 204; HTTP Message = No Content"),
            (Hook(status=201), f"{FAILED}HTTP Status Code = 201; HTTP Message = Created"),
            (Hook(status=302), f"{FAILED}HTTP Status Code = 302; HTTP Message = Found"),
            (Hook(echo="hello"), "(#2200) Response does not match challenge, expected value="),
        ],
    )
    async def test_challenge_not_passed(self, world: World, hook: Hook, message: str) -> None:
        """Only 200 and the echo pass; nothing is changed by a failure."""
        events = world.emulator.watch()
        async with served(hook):
            status, answer = await world.override_number(hook.url)
        error = answer["error"]
        assert (status, error["code"], error["type"]) == (400, 2200, "OAuthException")
        assert error["message"].startswith(message)
        assert await world.levels() == {"application": ""}
        told = await anext(events)
        assert (told["event"], told["url"], told["passed"]) == ("challenge", hook.url, False)
        assert told["status"] == (403 if hook.token == "other" else hook.status)

    async def test_the_echo_is_exact(self, world: World) -> None:
        """Not even a line end more."""

        async def handle(request: web.Request) -> web.Response:
            return web.Response(text=request.query["hub.challenge"] + "\n")

        hook = Hook()
        hook.handle = handle  # type: ignore[method-assign]
        async with served(hook):
            status, answer = await world.override_number(hook.url)
        assert (status, answer["error"]["code"]) == (400, 2200)

    async def test_nobody_there(self, world: World) -> None:
        """The failure is named as curl, which Meta asks with, names it."""
        async with served(Hook()) as hook:
            pass
        status, answer = await world.override_number(hook.url)
        error = answer["error"]
        assert (status, error["code"]) == (400, 2200)
        assert error["message"] == f"{FAILED}curl_errno = 7; curl_error = Couldn't connect to server"


class TestSubscriptions:
    async def test_only_the_apps_token(self, world: World) -> None:
        """Any other is (#15)."""
        wanted = (400, 15, None, "(#15) This method must be called with an app access_token.")
        for method in ("GET", "POST", "DELETE"):
            assert await world.error(method, f"{world.app}/subscriptions") == wanted
        path = f"{world.app}/subscriptions"
        assert (await world.error("GET", path, token=f"{world.app}|wrong"))[:2] == (401, 190)
        assert (await world.error("GET", path, token=world.portal.other_app.token))[1:3] == (100, 33)

    async def test_set_read_remove(self, world: World, hooks: list[Hook]) -> None:
        """The callback with its challenge, the fields with their version; the fields given replace the others."""
        path, token, [hook, *_] = f"{world.app}/subscriptions", world.portal.app.token, hooks
        assert await world.subscribe_app(hook.url, "messages,calls") == (200, {"success": True})
        assert [asked["hub.verify_token"] for asked in hook.asked] == ["hook token"]

        async def listed() -> Any:
            return (await world.done("GET", path, token=token))["data"]

        fields = [{"name": name, "version": "v25.0"} for name in ("messages", "calls")]
        entry = {"object": "whatsapp_business_account", "callback_url": hook.url, "active": True, "fields": fields}
        assert await listed() == [entry]
        assert await world.levels() == {"application": hook.url}
        await world.subscribe_app(hook.url, '["flows"]')
        assert [named["name"] for named in (await listed())[0]["fields"]] == ["flows"]
        await world.subscribe_app(hook.url, "flows,messages")
        query = {"object": "whatsapp_business_account", "fields": "flows"}
        assert await world.done("DELETE", path, token=token, params=query) == {"success": True}
        assert [named["name"] for named in (await listed())[0]["fields"]] == ["messages"]
        await world.done("DELETE", path, token=token, params={"object": "whatsapp_business_account"})
        assert await listed() == []

    @pytest.mark.parametrize(
        ("more", "code", "words"),
        [
            ({"object": "page"}, 100, "Param object must be one of {WHATSAPP_BUSINESS_ACCOUNT}"),
            ({"fields": "messages,nosuch"}, 100, "Param fields[1] must be one of ["),
            ({"fields": ""}, 100, "The parameter fields is required."),
            ({"verify_token": ""}, 100, "The parameter verify_token is required."),
            ({"verify_token": "wrong"}, 2200, FAILED),
            ({"callback_url": "x"}, 100, "Param callback_url must be a valid URI"),
        ],
    )
    async def test_refused(self, world: World, hooks: list[Hook], more: dict[str, str], code: int, words: str) -> None:
        """With what is wrong; what was set stays."""
        world.arrange(app_callback="https://example.com/old")
        status, answer = await world.subscribe_app(hooks[0].url, **more)
        assert (status, answer["error"]["code"]) == (400, code)
        assert words in answer["error"]["message"]
        assert await world.levels() == {"application": "https://example.com/old"}


class TestDelivery:
    async def test_precedence(self, world: World, hooks: list[Hook]) -> None:
        """Number before account before app; each falls back to the next."""
        on_number, on_account, on_app = hooks
        await world.subscribe_app(on_app.url)
        override = {"override_callback_uri": on_account.url, "verify_token": on_account.token}
        await world.done("POST", f"{world.account}/subscribed_apps", json=override)
        await world.override_number(on_number.url)
        assert await world.levels() == {
            "phone_number": on_number.url,
            "whatsapp_business_account": on_account.url,
            "application": on_app.url,
        }
        await world.emulator.say("to the number")
        assert b"to the number" in await on_number.first()
        await world.override_number("")
        await world.emulator.say("to the account")
        assert b"to the account" in await on_account.first()
        await world.done("POST", f"{world.account}/subscribed_apps")
        await world.emulator.say("to the app")
        assert b"to the app" in await on_app.first()
        assert [len(hook.bodies) for hook in hooks] == [1, 1, 1]

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"account_subscribed": False}, "the app is not subscribed to the WhatsApp Business Account"),
            ({"app_fields": ["calls"]}, "the app is not subscribed to the field messages"),
            ({"app_fields": []}, "the app is not subscribed to the field messages"),
        ],
    )
    async def test_never_sent(self, world: World, hooks: list[Hook], change: dict[str, Any], why: str) -> None:
        """Not subscribed: neither messages nor receipts are sent, then or later, whatever overrides there are."""
        hook = hooks[0]
        world.arrange(number_callback=hook.url, account_callback=hook.url, app_callback=hook.url)
        world.arrange(**change)
        events = world.emulator.watch()
        await world.emulator.say("lost")
        assert (await world.send())[0] == 200
        told = [event async for event in _until(events, 4)]
        assert {(event["what"], event["attempt"], event["error"]) for event in told} == {
            (what, 0, f"not sent: {why}") for what in ("message", "sent", "delivered", "read")
        }
        world.arrange(account_subscribed=True, app_fields=["messages"])
        await world.emulator.say("heard")
        assert b"heard" in await hook.first()
        assert len(hook.bodies) == 1

    async def test_waits_for_the_first_callback(self, world: World, hooks: list[Hook]) -> None:
        """While no callback was ever set, webhooks wait; an override alone is enough."""
        await world.emulator.say("early")
        await world.override_number(hooks[1].url)
        assert b"early" in await hooks[1].first()

    async def test_repeats_follow_the_callback(self, world: World, hooks: list[Hook]) -> None:
        """What a dead override did not take is repeated, to the callback in force by then."""
        async with served(Hook()) as dead:
            pass
        world.arrange(number_callback=dead.url, app_callback=hooks[0].url)
        events = world.emulator.watch()
        await world.emulator.say("stubborn")
        async with asyncio.timeout(5):
            async for event in events:
                if event["event"] == "webhook":
                    break
        await world.override_number("")
        assert b"stubborn" in await hooks[0].first()

    async def test_connect(self, world: World, hooks: list[Hook]) -> None:
        """Mends whatever is in the way of webhooks to this address, and nothing else."""
        hooks[2].token = world.emulator.credentials.verify_token
        world.arrange(account_subscribed=False, app_fields=["calls"], number_callback=hooks[0].url)
        await world.emulator.connect(hooks[2].url)
        found = world.portal.document()
        assert (found["callback"], found["obstacle"]) == (hooks[2].url, "")
        assert found["levels"] == {"application": hooks[2].url}
        assert found["fields"] == ["calls", "messages"]
        await world.emulator.say("here")
        assert b"here" in await hooks[2].first()

    async def test_entry_names_the_account(self, world: World, hooks: list[Hook]) -> None:
        """A number in another account says so in its webhooks."""
        hooks[0].token = world.emulator.credentials.verify_token
        world.arrange(number_account_id=world.portal.other_account_id)
        await world.emulator.connect(hooks[0].url)
        await world.emulator.say("x")
        assert f'"id":"{world.portal.other_account_id}"'.encode() in await hooks[0].first()


async def _until(events: Any, count: int) -> AsyncIterator[dict[str, Any]]:
    async with asyncio.timeout(5):
        async for event in events:
            if event["event"] == "webhook":
                yield event
                count -= 1
                if not count:
                    return


class TestArrange:
    async def test_healthy(self, world: World) -> None:
        """A fresh world lacks nothing but a callback."""
        found = world.portal.document()
        assert (found["callback"], found["obstacle"], found["levels"]) == ("", "", {"application": ""})
        assert (found["fields"], found["subscribed_apps"]) == (["messages"], [world.app])
        query = {"access_token": world.portal.app.token}
        [listed] = (await world.done("GET", f"{world.app}/subscriptions", token="", params=query))["data"]
        assert [named["name"] for named in listed["fields"]] == ["messages"]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"weather": "rain"}, "There is nothing called 'weather' to arrange; there are token,"),
            ({"token": "tired"}, "token is one of 'valid', 'expired', 'invalidated', 'unknown', not 'tired'."),
            ({"pin": 123456}, "pin is a string."),
            ({"registered": "no"}, "registered is true or false."),
            ({"clock_ahead": True}, "clock_ahead is a number of seconds."),
            ({"app_fields": "messages"}, "app_fields is a list of strings."),
            ({"token_scopes": None}, "token_scopes is a list of strings."),
            ({"token_app_id": "1"}, "There is no app '1'; there are "),
            ({"number_account_id": "1"}, "There is no account '1'; there are "),
            ({"quality_rating": ["RED"]}, "quality_rating is one of 'GREEN',"),
        ],
    )
    async def test_wrong_names_and_values(self, world: World, changes: dict[str, Any], words: str) -> None:
        """A sentence in Python and over HTTP, and nothing is changed."""
        before = world.portal.document()
        with pytest.raises(ValueError) as caught:
            world.arrange(**changes)
        assert str(caught.value).startswith(words)
        status, answer = await control(world, "POST", changes)
        assert status == 400
        assert answer["error"]["message"].startswith(words)
        assert world.portal.document() == before

    async def test_over_http(self, world: World) -> None:
        """The control API arranges and shows, and shows no secret."""
        status, found = await control(world, "POST", {"token": "expired", "account_mode": "LIVE"})
        assert (status, found["token"]["dead"], found["number"]["account_mode"]) == (200, 463, "LIVE")
        assert await control(world, "GET") == (200, found)
        text = str(found)
        for secret in (world.token, world.portal.app.secret, world.portal.other_app.secret, "123456"):
            assert secret not in text

    async def test_forgotten_tokens_stay_forgotten(self, world: World) -> None:
        """Only ``token`` brings one back."""
        world.arrange(token="unknown")
        world.arrange(token_scopes=[])
        assert (await world.error("GET", world.number))[1] == 190
        world.arrange(token="valid", token_scopes=SCOPES)
        await world.done("GET", world.number)

    async def test_clock(self, world: World) -> None:
        """Answers carry a date, which can be made to be wrong."""
        for ahead in (0.0, 900.0, -900.0):
            world.arrange(clock_ahead=ahead)
            for path in (world.number, "123"):
                url = f"{world.emulator.graph_url}/{path}"
                async with world.session.get(url, params={"access_token": world.token}) as response:
                    said = parsedate_to_datetime(response.headers["Date"]).timestamp()
                assert abs(said - ahead - time.time()) < 3

    async def test_outages(self, world: World) -> None:
        """All of Graph fails, with a page or in words, until it is over."""
        world.arrange(outage="html")
        status, body = await world.call("GET", world.number)
        assert (status, body[:15]) == (500, "<!DOCTYPE html>")
        world.arrange(outage="unavailable")
        assert (await world.error("GET", "debug_token"))[:2] == (503, 2)
        world.arrange(outage="")
        await world.done("GET", world.number)


async def control(world: World, method: str, body: Any = None) -> tuple[int, Any]:
    token = world.emulator.page_url.partition("#token=")[2]
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{world.emulator.graph_url}/_/portal"
    async with world.session.request(method, url, headers=headers, json=body) as response:
        return response.status, await response.json()
