"""What ``swarm.send`` and ``swarm.recv`` return where it is no length."""

SENT = 0
NO_MESSAGE = -1
TOO_LONG = -2  # for the buffer, and stays; for any mailbox
FULL = -3  # no room is left for what is sent in this dispatch
NO_SUCH_AGENT = -4  # none lives, or not one that may be written to
