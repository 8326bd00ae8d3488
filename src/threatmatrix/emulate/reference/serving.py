"""Serve a model over HTTP: pure ASGI applications, no framework.

``oip_app`` speaks the Open Inference Protocol v2 (serving_oip.py) for any model. ``model_app`` serves a reference
target by that, by MLflow's and TensorFlow Serving's REST APIs (serving_rest.py), and where it generates text by the
OpenAI API (serving_chat.py).
"""

from __future__ import annotations

import socket

from threatmatrix.emulate.reference.base import Reference, ServedModel
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.reference.offer import Offer, ScoredModel, offer_of
from threatmatrix.emulate.reference.routes import ASGIApp, routed
from threatmatrix.emulate.reference.serving_chat import chat_routes
from threatmatrix.emulate.reference.serving_oip import oip_routes
from threatmatrix.emulate.reference.serving_rest import mlflow_routes, tf_routes

__all__ = ["ASGIApp", "listen", "model_app", "oip_app"]


def listen(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1 without Nagle's delay, for ``uvicorn.Server.run(sockets=[…])``.

    asyncio switches the delay off only for sockets that were made with the protocol number of TCP, which
    ``socket.create_server`` does not give: answers in two writes would then take 40 ms each.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def oip_app(
    name: str,
    model: MLP | ServedModel,
    *,
    classes: int | None = None,
    width: int | None = None,
    files: bool = False,
    scores: bool = True,
    text: bool = False,
    principal_header: str = "",
) -> ASGIApp:
    """An ASGI application that serves ``model`` as ``/v2/models/{name}``.

    An MLP says itself what it takes. For any other model: ``classes``; ``width``, the numbers in a row, or None for
    one text a row (one file where ``files``); and which outputs it has beside labels. ``principal_header``: where a
    gateway in front names the user who teaches; without it that is the hash of the API key.
    """
    if isinstance(model, MLP):
        width, classes = model.inputs, model.classes
        served = Offer(name=name, model=ScoredModel(model), classes=classes, width=width, platform="numpy_mlp")
    elif classes is None:
        raise TypeError("oip_app needs to know the number of classes")
    else:
        served = Offer(name=name, model=model, classes=classes, width=width, files=files, scores=scores, text=text)
    return routed([oip_routes(served)], principal_header=principal_header)


def model_app(reference: Reference, *, principal_header: str = "") -> ASGIApp:
    """An ASGI application that serves a reference target by every protocol that suits it."""
    offer = offer_of(reference)
    tables = [oip_routes(offer), mlflow_routes(offer), tf_routes(offer)]
    if offer.text:
        tables.append(chat_routes(offer))
    return routed(tables, principal_header=principal_header)
