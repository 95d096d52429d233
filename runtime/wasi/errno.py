"""The WASI error numbers that swarmc answers with, under their names in the witx files."""

SUCCESS = 0
BADF = 8
INTR = 27
INVAL = 28
NOMEM = 48
NOTDIR = 54
NOTSOCK = 57
NOTSUP = 58
SPIPE = 70
