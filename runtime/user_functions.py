"""From a user's function to a host function ``f(ctx, slots) -> status``."""

from __future__ import annotations

from collections.abc import Callable

from .guest_agent import make_entry
from .host_api import HostFunction, refuse
from .numba_target import adopt


def build_user_function(user: HostFunction) -> Callable[[int, int], int]:
    """The host function that calls a user's function.

    Raises:
        HostFunctionError: a function that it calls does what host functions cannot.
    """
    name = str(user)
    function = adopt(user.function, lambda callee: refuse(callee, name))
    return make_entry(function, user.type, user.takes_agent, name)
