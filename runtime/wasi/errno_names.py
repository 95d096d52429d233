"""Names of all WASI error numbers, as in the witx files."""

from __future__ import annotations

#: By number.
ERRNO_NAMES = tuple(
    "success 2big acces addrinuse addrnotavail afnosupport again already badf badmsg busy canceled"
    " child connaborted connrefused connreset deadlk destaddrreq dom dquot exist fault fbig"
    " hostunreach idrm ilseq inprogress intr inval io isconn isdir loop mfile mlink msgsize"
    " multihop nametoolong netdown netreset netunreach nfile nobufs nodev noent noexec nolck nolink"
    " nomem nomsg noprotoopt nospc nosys notconn notdir notempty notrecoverable notsock notsup"
    " notty nxio overflow ownerdead perm pipe proto protonosupport prototype range rofs spipe srch"
    " stale timedout txtbsy xdev notcapable".split()
)
