"""Files that people write, YAML and TOML, with the place of everything in them."""
