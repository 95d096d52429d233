"""Validated WebAssembly to SSA IR."""
