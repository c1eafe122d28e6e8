"""Linear models on the workers of a dask.distributed cluster: the numbers of one machine.

loading.py     what data may be, and how a partition is made of it
partitions.py  all of them as futures on workers, and one call of all
direct.py      short calls, past the scheduler
adding.py      sums of large gradients, added on workers
worker.py      what workers do with theirs
rows.py        all partitions as the rows of an objective: sums in the order of the partitions
local.py       local-update SGD: steps of every part, averaged now and then

Data stay where they are; a task a worker and evaluation gets W and returns its partitions' sums, which the client
adds in the order of the partitions. So the bits depend on neither the number of workers, nor who had what, nor on
what was lost and done again.
"""

from fastopt.distributed.loading import Load
from fastopt.distributed.objective import DistributedObjective
from fastopt.distributed.rows import remote_rows
from fastopt.distributed.worker import PartitionError

__all__ = ["DistributedObjective", "Load", "PartitionError", "remote_rows"]
