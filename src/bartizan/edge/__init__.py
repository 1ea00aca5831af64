"""The data plane as Python sees it.

`data_plane.py`  `bartizan.Edge`: one data plane in this process, for programs and tests
`process.py`     the edge process (`python -m bartizan.edge --state DIR`): starts from the last good policy and answers
                 apply, status, metrics and stop on `run/edge.sock`
`handover.py`    one edge takes the place of another, and no request fails
`watch.py`       what the process says of itself: origins that fail, certificates that changed

Requests never come through here: they are served by native threads that hold no GIL. What is here starts them, hands
them a policy and asks how they are.
"""

from bartizan.edge.data_plane import Edge, PolicyRefused

__all__ = ["Edge", "PolicyRefused"]
