"""The configuration that ``swarmc config`` writes: all sections, with their defaults."""

TEMPLATE = """\
# Configuration of swarmc's dispatcher, workers and back ends.
# Times are in milliseconds. Relative paths begin at the folder of this file.

[dispatcher]
# Where `swarmc status` finds the router, if none has the database below in use.
coordinator_endpoint = "ws://localhost:8080"
# Everything that happens is kept here; what a crash interrupted goes on from it.
state_db_path = "./swarm-state.db"
enable_websocket = true
websocket_port = 8080
# For how long a router keeps tasks and workflows that have ended: 7 days.
retention = 604800000
# MiB of shards' modules that a router keeps for workers, beside the database. Those that no
# unfinished task needs go when others come, those used longest ago first.
module_storage_mib = 1024

[coordinator]
max_workers = 100
# How often workers of other processes say that they are alive, and after how much silence they
# are given up. 5000 and 15000 suit slow networks.
heartbeat_interval = 100
heartbeat_timeout = 1500
# Attempts beyond the first, of symbols that do not set retries.
task_retry_limit = 3
enable_load_balancing = true
priority_queue_enabled = true

[worker]
node_name = "worker-node-1"
dispatcher_url = "ws://localhost:8080"
heartbeat_interval = 100
max_concurrent_tasks = 4
# MiB of those modules that a worker keeps.
module_storage_mib = 1024

[worker.capabilities]
rust = true
php = true
powershell = true

# Back ends are programs that read a task as JSON from standard input and print its result as JSON.
# timeout is that of symbols that do not set one.

[backends.rust_injector]
enabled = true
binary_path = "../../wp_injector/target/release/wp_injector"
timeout = 30000

[backends.php_engine]
enabled = true
script_path = "../../engine/php/symbolic-engine.php"
php_binary = "php"
timeout = 30000

[backends.powershell_engine]
enabled = true
script_path = "../../SymbolicEngine/core/symbolic.ps1"
pwsh_binary = "pwsh"
timeout = 30000

# Python functions. Those of your own: operations = { my_name = "package.module:function" }
[backends.internal]
enabled = true
operations = {}
timeout = 30000

# WebAssembly modules; root is the folder where their paths begin.
[backends.wasm]
enabled = true
root = "."
timeout = 30000

# Lets a manifest run any program, by `dispatch: process` and the parameter command.
[backends.process]
enabled = false
timeout = 30000

# A program of your own under a name of your own:
# [backends.my_engine]
# command = ["python3", "./my_engine.py"]
# env = { COLOUR = "red" }

[logging]
# debug, info, warning or error
level = "warning"
console = true
# text or json
format = "text"
"""
