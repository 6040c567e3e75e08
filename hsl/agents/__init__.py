"""The agents of the transaction layer: messages in, messages out, no clock and no sockets (HSL 5)."""
