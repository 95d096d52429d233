"""Task workers in processes of their own: who they are, how tasks get there and back.

Nothing here loads Dask before a worker wants to join; only ``carrier`` and ``runner`` do.
"""
