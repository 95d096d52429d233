"""WASI preview 1 for agents that have three streams, arguments, an environment, and no files.

Answers are wasmtime's (crates/wasi, ``p1.rs``) wherever a program can see them, so that programs
take the same paths: ``fd_write`` takes only the first buffer that is not empty, bad pointers and
bad flags trap, ``path_*`` answer ``badf`` because no descriptor is a directory. Time and randomness
are the exception: they are computed from the dispatch's inputs (see ``clocks`` and ``random``).
"""
