"""The server that runs bots: the public listener that Meta calls, the private one that we call."""
