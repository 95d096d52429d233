"""Files that people write, YAML, TOML and JSON, with the place of everything in them."""
