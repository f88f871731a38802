"""What runs between the author's functions and the nodes.

`link` keeps one node linked: it reads frames and owns an `outbox` of what waits to leave.
`calls` knows every call of all links; a `call` is what its function sees, a `run` what drives it.
`asks` are its open questions, which `check` looks at first; `threads` run what blocks. `encode` writes JSON as nodes take it.
Everything here belongs to one event loop; `Call` alone may be told things by other threads.
"""
