"""The WebAssembly binary format: decode, validate, print."""
