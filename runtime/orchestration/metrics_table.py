"""Which fields of the parts' statistics are exported, under which names."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a field is to those who watch it."""

    COUNTER = enum.auto()  #: only grows
    GAUGE = enum.auto()
    HISTOGRAM = enum.auto()  #: a Distribution
    STATE = enum.auto()  #: an enumeration; 1 for the value that it has, 0 for the others


@dataclass(frozen=True, slots=True)
class Row:
    """A field of a part's statistics.

    Args:
        field: its name; with a dot, a field of what the field before the dot holds.
        name: of the metric, behind ``swarmc_``; a counter's gets ``_total``.
        label: the field is a mapping from this to numbers, or to objects with a field ``item``.
    """

    field: str
    kind: Kind
    name: str
    help: str
    label: str | None = None
    item: str | None = None


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM



def _channel(field: str, name: str, where: str) -> tuple[Row, ...]:
    """Rows of channels together."""
    return (
        Row(f"{field}.sent", _C, f"{name}_sent_messages", f"Accepted {where}."),
        Row(f"{field}.refused", _C, f"{name}_refused_messages", f"For which no room was {where}."),
        Row(f"{field}.received", _C, f"{name}_received_messages", f"Given to receivers {where}."),
        Row(f"{field}.acknowledged", _C, f"{name}_acknowledged_messages", f"Done with {where}."),
        Row(f"{field}.rejected", _C, f"{name}_rejected_messages", f"Put back {where}."),
        Row(f"{field}.restored", _C, f"{name}_restored_messages", f"Of before a restart {where}."),
        Row(f"{field}.dropped", _C, f"{name}_dropped_messages", f"Gone with the owner {where}."),
        Row(f"{field}.waiting", _G, f"{name}_waiting_messages", f"In the queue {where}."),
        Row(f"{field}.unacknowledged", _G, f"{name}_unacknowledged_messages",
            f"Received, and not done with, {where}."),
        Row(f"{field}.bytes_before", _C, f"{name}_uncompressed_bytes",
            f"Before compression, {where}."),
        Row(f"{field}.bytes_after", _C, f"{name}_compressed_bytes", f"After compression, {where}."),
    )  # fmt: skip


#: By part. A part whose statistics are a mapping, as those of breakers, is exported for each key.
ROWS: dict[str, tuple[Row, ...]] = {
    "scheduler": (
        Row("accepted", _C, "tasks_accepted", "Tasks accepted."),
        Row("completed", _C, "tasks_completed", "Tasks completed."),
        Row("failed", _C, "tasks_failed", "Tasks that failed for good."),
        Row("cancelled", _C, "tasks_cancelled", "Tasks cancelled."),
        Row("retried", _C, "task_retries", "Attempts after one that failed."),
        Row("timed_out", _C, "task_timeouts", "Attempts that took too long."),
        Row("failovers", _C, "task_failovers", "Tasks given to another agent: theirs failed."),
        Row("late", _C, "task_late_results", "Results for which nobody waited any more."),
        Row("waiting", _G, "tasks_waiting", "Tasks that wait for others."),
        Row("queued", _G, "tasks_queued", "Tasks that wait for an agent."),
        Row("delayed", _G, "tasks_delayed", "Tasks that wait for their next attempt."),
        Row("unplaced", _G, "tasks_unplaced", "Queued tasks that no agent can run."),
        Row("running", _G, "tasks_running", "Tasks that run."),
        Row("storing", _G, "tasks_storing", "Tasks that are done and about to be durable."),
        Row("throughput", _G, "task_throughput", "Tasks completed a second, of late."),
        Row("queue_time", _H, "task_queue_seconds", "From being ready to the start."),
        Row("run_time", _H, "task_run_seconds", "From the start of an attempt to its end."),
    ),
    "router": (
        Row("connections", _G, "router_connections", "Connections by role.", "role"),
        Row("swarms", _G, "router_swarms", "Swarms that have not ended."),
        Row("nodes", _G, "router_nodes", "Their nodes by state.", "state"),
        Row("queued", _G, "router_turns_queued", "Injections that wait."),
        Row("turns", _C, "router_turns", "Turns that ended, by outcome.", "outcome"),
        Row("events", _C, "router_events", "Events of the protocol."),
    ),
    "store": (
        Row("events", _C, "store_events", "Events stored."),
        Row("appends", _C, "store_appends", "Appends stored."),
        Row("refused", _C, "store_refused_appends", "Appends that were not stored."),
        Row("commits", _C, "store_commits", "Transactions."),
        Row("largest_commit", _G, "store_largest_commit_events", "Events of the largest one."),
        Row("waiting", _G, "store_waiting_appends", "Appends that are not written yet."),
        Row("last_seq", _G, "store_last_sequence_number", "Number of the latest event."),
        Row("size", _G, "store_size_bytes", "Database and write-ahead log."),
        Row("commit_time", _H, "store_commit_seconds", "How long transactions took."),
    ),
    "agents": (
        Row("states", _G, "agents", "Agents by state.", "state"),
        Row("running", _G, "agent_tasks_running", "Tasks that run on agents."),
        Row("capacity", _G, "agent_task_capacity", "Tasks that living agents can run."),
        Row("registered", _C, "agents_registered", "Agents registered."),
        Row("restarts", _C, "agent_restarts", "Restarts of agents."),
        Row("failures", _C, "agent_failures", "Agents given up."),
        Row("suspicions", _C, "agent_suspicions", "Agents whose heartbeat was late."),
    ),
    "health": (
        Row("watched", _G, "health_watched_agents", "Agents whose heartbeats are judged."),
        Row("beats", _C, "health_heartbeats", "Heartbeats heard."),
        Row("checks", _C, "health_checks", "Looks at all heartbeats."),
        Row("recoveries", _C, "health_recoveries", "Agents that were suspected and came back."),
    ),
    "supervisor": (
        Row("restarted", _C, "supervisor_restarts", "Restarts that worked."),
        Row("failed", _C, "supervisor_failed_restarts", "Restarts that did not."),
        Row("given_up", _C, "supervisor_given_up", "Agents that are restarted no more."),
        Row("waiting", _G, "supervisor_waiting", "Restarts that are due."),
    ),
    "breakers": (
        Row("state", Kind.STATE, "breaker_state", "State of a circuit breaker.", "state"),
        Row("failure_rate", _G, "breaker_failure_rate", "Of the last calls, 0 to 1."),
        Row("passed", _C, "breaker_passed_calls", "Calls let through."),
        Row("refused", _C, "breaker_refused_calls", "Calls refused."),
        Row("succeeded", _C, "breaker_succeeded_calls", "Calls that succeeded."),
        Row("failed", _C, "breaker_failed_calls", "Calls that failed."),
        Row("opened", _C, "breaker_opened", "How often it opened."),
    ),
    "memory": (
        Row("total_size", _G, "memory_pool_bytes", "Size of the pool."),
        Row("used_size", _G, "memory_used_bytes", "Of the pool, whole regions."),
        Row("largest_free", _G, "memory_largest_free_bytes", "Longest free run of the pool."),
        Row("utilization", _G, "memory_utilization", "Share of the pool that is used."),
        Row("regions", _G, "memory_regions", "Regions that there are."),
        Row("evicted", _G, "memory_evicted_regions", "Regions in the backing store."),
        Row("pinned", _G, "memory_pinned_regions", "Regions pinned, or shown by an array."),
        Row("orphans", _G, "memory_orphaned_regions", "Regions of agents that are gone."),
        Row("agents", _G, "memory_agent_bytes", "What an agent owns.", "agent", "size"),
        Row("allocations", _C, "memory_allocations", "Regions allocated."),
        Row("frees", _C, "memory_frees", "Regions freed by those who had them."),
        Row("expired", _C, "memory_expired_regions", "Regions freed at the end of their time."),
        Row("collected", _C, "memory_collected_regions", "Regions of agents gone, freed."),
        Row("transfers", _C, "memory_transfers", "Changes of owner."),
        Row("hits", _C, "memory_hits", "Uses of a region in the pool."),
        Row("misses", _C, "memory_misses", "Uses of one that was evicted."),
        Row("faults", _C, "memory_faults", "Regions brought back."),
        Row("evictions_by_policy", _C, "memory_evictions", "Evictions.", "policy"),
        Row("evicted_bytes", _C, "memory_evicted_bytes", "Bytes evicted."),
        Row("stored_bytes", _C, "memory_stored_bytes", "The same bytes, compressed perhaps."),
        Row("bytes_read", _C, "memory_read_bytes", "Bytes read."),
        Row("bytes_written", _C, "memory_written_bytes", "Bytes written."),
        Row("backing_used", _G, "memory_backing_used_bytes", "In the backing store."),
        Row("backing_limit", _G, "memory_backing_limit_bytes", "What the backing store may hold."),
    ),
    "hub": (
        Row("members", _G, "hub_members", "Members that have joined."),
        Row("hops", _C, "hub_hops", "Links that messages went over."),
        Row("forwarded", _C, "hub_forwarded_messages", "Passed on for others.", "member"),
        Row("not_permitted", _C, "hub_not_permitted_messages", "Refused by the topology."),
        Row("no_such_member", _C, "hub_unknown_members", "Messages to or from strangers."),
        *_channel("mailboxes", "mailbox", "in mailboxes"),
        *_channel("channels", "channel", "in channels"),
    ),
    "coordinator": (
        Row("members", _G, "coordination_members", "Members that may vote."),
        Row("quorum", _G, "coordination_quorum", "Approvals that a proposal needs."),
        Row("tolerated", _G, "coordination_tolerated_liars", "Members that may lie."),
        Row("proposals", _G, "coordination_proposals", "Proposals by state.", "state"),
        Row("votes", _C, "coordination_votes", "Votes that counted."),
        Row("equivocations", _C, "coordination_equivocations", "Second votes that differed."),
        Row("leads", _G, "coordination_leader", "1 for the member that leads.", "member"),
        Row("epoch", _G, "coordination_epoch", "Of the latest leader."),
        Row("rounds", _C, "coordination_elections", "Elections held, won or not."),
    ),
    "resources": (
        Row("cpu", _G, "process_busy_processors", "Processors that this process keeps busy."),
        Row("machine_cpu", _G, "machine_processor_utilization", "Share that is busy."),
        Row("cores", _G, "machine_processors", "Processors of the machine."),
        Row("memory_bytes", _G, "process_memory_bytes", "Resident memory of this process."),
        Row("machine_memory_bytes", _G, "machine_memory_bytes", "Memory of the machine."),
        Row("available_memory_bytes", _G, "machine_memory_available_bytes", "To be had."),
        Row("sent_bytes", _C, "machine_network_sent_bytes", "By the machine's networks."),
        Row("received_bytes", _C, "machine_network_received_bytes", "By the machine's networks."),
        Row("threads", _G, "process_threads", "Threads of this process."),
        Row("open_files", _G, "process_open_files", "Files open in this process."),
        Row("uptime_seconds", _G, "process_uptime_seconds", "Since this process began."),
    ),
}

#: How the keys are called of parts whose statistics are mappings.
KEYS = {"breakers": "breaker"}
