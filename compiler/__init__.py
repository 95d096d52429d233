"""WebAssembly to IR."""
