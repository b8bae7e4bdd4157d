"""Where Meta sends webhooks: the overrides of a number and of an account (WABA), and the app's own subscription.

Its law: what is there is read before it is changed, and nothing that it did not mean to change is lost.
Sources: WhatsApp Business Management API (Subscribed apps, Webhook overrides), Graph API (App Subscriptions), v25.0.
"""

from collections.abc import Iterable, Mapping

from aerobot.errors import ConfigError, Repeat
from aerobot.graph_admin import reading
from aerobot.graph_admin.call import APP_ID, Call, id_in, on_app, on_number, on_waba, override
from aerobot.graph_admin.channel import Channel
from aerobot.graph_admin.failures import Failed, GraphError, without_success
from aerobot.graph_admin.values import OBJECT, AppSubscription, SubscribedApp
from aerobot.secret import Secret


class Webhooks(Channel):
    """The three levels, the narrowest first; a call raises what ``GraphAdmin`` says."""

    # -- overrides -----------------------------------------------------------------------------------------

    def set_number_override(self, phone_number_id: str, url: str, verify_token: Secret) -> None:
        """Point Meta at ``url`` for this number alone; Meta asks it for the challenge before it agrees."""
        self._override_number(phone_number_id, override(url, verify_token))

    def clear_number_override(self, phone_number_id: str) -> None:
        """Take the number's own override away; the account's or the app's address is in force again."""
        self._override_number(phone_number_id, {"override_callback_uri": ""})

    def _override_number(self, phone_number_id: str, configuration: Mapping[str, object]) -> None:
        self._do(on_number(phone_number_id, "", {"webhook_configuration": configuration}))

    def subscribed_apps(self, business_account_id: str) -> tuple[SubscribedApp, ...]:
        """``GET /{waba}/subscribed_apps``: the apps that get this account's webhooks."""
        call = on_waba(business_account_id, "/subscribed_apps")
        return tuple(reading.subscribed_app_in(item) for item in self._pages(call))

    def subscription(self, business_account_id: str) -> SubscribedApp | None:
        """Our app among them; ``None`` where it gets nothing of this account."""
        ours = id_in(self.app_id, APP_ID)
        return next((app for app in self.subscribed_apps(business_account_id) if app.id == ours), None)

    def subscribe(self, business_account_id: str) -> bool:
        """Subscribe our app to the account; false, and nothing is sent, where it is already.

        The same call without a body takes an override away, so it must not be made twice.
        """
        if self.subscription(business_account_id) is not None:
            return False
        self._change_subscription(business_account_id, {})
        return True

    def set_waba_override(self, business_account_id: str, url: str, verify_token: Secret) -> None:
        """Point Meta at ``url`` for this account; the app must be subscribed to it (``subscribe``)."""
        self._change_subscription(business_account_id, override(url, verify_token))

    def clear_waba_override(self, business_account_id: str) -> None:
        """Take our app's override for this account away; the app stays subscribed, or unsubscribed."""
        ours = self.subscription(business_account_id)
        if ours is not None and ours.override:
            self._change_subscription(business_account_id, {})

    def _change_subscription(self, business_account_id: str, body: Mapping[str, object]) -> None:
        self._do(on_waba(business_account_id, "/subscribed_apps", body))

    # -- the app's own subscription ------------------------------------------------------------------------

    def app_subscriptions(self) -> tuple[AppSubscription, ...]:
        """``GET /{app}/subscriptions``, of all objects."""
        return tuple(reading.app_subscription_in(item) for item in self._pages(on_app(self.app_id, "GET")))

    def app_subscription(self) -> AppSubscription | None:
        """The one for WhatsApp accounts."""
        return next((one for one in self.app_subscriptions() if one.object == OBJECT), None)

    def merge_app_subscription(
        self, *, verify_token: Secret, callback_url: str | None = None, fields: Iterable[str] = ("messages",)
    ) -> AppSubscription:
        """Add ``fields`` to the app's subscription, keeping those it has; what stands there afterwards is returned.

        Without ``callback_url`` the present address stays. Either way Meta asks it for the challenge, and it has to
        know ``verify_token``.
        """
        there = self.app_subscription()
        url = callback_url or (there.callback_url if there else "")
        if not url:
            raise ConfigError("The app has no callback URL yet, and none is given.", "aerobot serve --tunnel")
        names = dict.fromkeys((*(there.names if there else ()), *fields))
        body = {"object": OBJECT, "callback_url": url, "verify_token": verify_token, "fields": ",".join(names)}
        self._do(on_app(self.app_id, "POST", body=body))
        after = self.app_subscription()
        missing = set(names) - set(after.names if after else ())
        if after is None or missing:
            words = f"Meta took the fields and still does not have {', '.join(sorted(missing))}."
            raise GraphError(words, "Try it once more, or by hand: App > WhatsApp > Configuration", repeat=Repeat.NEVER)
        return after

    def drop_app_fields(self, fields: Iterable[str]) -> None:
        """Unsubscribe some fields; the others stay."""
        names = list(fields)
        if names:
            self._do(on_app(self.app_id, "DELETE", params={"object": OBJECT, "fields": ",".join(names)}))

    def delete_app_subscription(self) -> None:
        """Unsubscribe the app from WhatsApp's webhooks altogether, with its callback URL."""
        self._do(on_app(self.app_id, "DELETE", params={"object": OBJECT}))

    def _do(self, call: Call) -> None:
        """Make a change; Graph answers ``{"success": true}``, in places as a text."""
        answer = self._ask(call)
        if answer.get("success") not in (True, "true"):
            error = without_success(call, answer)
            raise self._cleaned(Failed(error=error, repeat=error.repeat), call).error
