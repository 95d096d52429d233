"""One lowering from IR to LLVM IR, for every target."""
