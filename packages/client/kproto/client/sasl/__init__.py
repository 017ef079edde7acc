"""SASL: the mechanisms as exchanges of tokens, and the requests that carry them.

Layer: client. No I/O; secrets never stand in a repr, a log line or an error.
"""

from kproto.client.sasl.authenticator import SaslAuthenticator, SaslEvent, SaslState
from kproto.client.sasl.exchange import SaslExchange
from kproto.client.sasl.oauthbearer import OAuthBearerExchange
from kproto.client.sasl.plain import PlainExchange
from kproto.client.sasl.scram import ScramExchange

__all__ = [
    "OAuthBearerExchange",
    "PlainExchange",
    "SaslAuthenticator",
    "SaslEvent",
    "SaslExchange",
    "SaslState",
    "ScramExchange",
]
