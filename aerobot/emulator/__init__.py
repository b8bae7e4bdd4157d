"""The stand-in for Meta: Graph, signed webhooks and a phone in the browser. It meets a host over HTTP."""
