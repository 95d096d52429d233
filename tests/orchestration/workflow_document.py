"""The manifests that the document on workflows shows, to the letter."""

from __future__ import annotations

YAML = """\
name: "example-workflow"
version: "1.0.0"
description: "Example symbolic workflow"

symbols:
  - name: "initialize"
    type: "action"
    context: "wordpress"
    dispatch: "php_engine"
    priority: 10
    parameters:
      operation: "init"

  - name: "process_data"
    type: "transform"
    context: "database"
    dispatch: "rust_injector"
    dependencies:
      - "initialize"
    parameters:
      table: "wp_posts"
      filter: "status = 'publish'"

  - name: "finalize"
    type: "action"
    context: "wordpress"
    dispatch: "php_engine"
    dependencies:
      - "process_data"
    parameters:
      operation: "cleanup"
    rollback:
      name: "rollback_finalize"
      type: "action"
      context: "wordpress"
      dispatch: "php_engine"
      parameters:
        operation: "restore"
"""
TOML = """\
name = "example-workflow"
version = "1.0.0"
description = "Example symbolic workflow"

[[symbols]]
name = "initialize"
type = "action"
context = "wordpress"
dispatch = "php_engine"
priority = 10

[symbols.parameters]
operation = "init"

[[symbols]]
name = "process_data"
type = "transform"
context = "database"
dispatch = "rust_injector"
dependencies = ["initialize"]

[symbols.parameters]
table = "wp_posts"
filter = "status = 'publish'"
"""
