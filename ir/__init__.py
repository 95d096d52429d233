"""The SSA IR: it knows no WebAssembly, no LLVM and no target."""
