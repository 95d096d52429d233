"""Messages between agents of a swarm: the imports ``swarm.*``, and how mail gets to its readers.

What an agent sends in one dispatch is there for its recipient in the next one. Agents write to
outboxes of their own and read from mailboxes that nobody writes to while they run; between
dispatches the host carries everything, in the order of the senders' ids and of their sending. So
what agents see depends neither on the target nor on how many of them run at a time.
"""
