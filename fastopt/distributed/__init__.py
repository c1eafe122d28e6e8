"""Linear models on the workers of a dask.distributed cluster: the numbers of one machine.

partitions.py  what data may be, and how it becomes partitions on workers
worker.py      what workers do with theirs
rows.py        all partitions as the rows of an objective: sums in the order of the partitions

Data stay where they are; a task a worker and evaluation gets W and returns its partitions' sums, which the client
adds in the order of the partitions. So the bits depend on neither the number of workers, nor who had what, nor on
what was lost and done again.
"""

from fastopt.distributed.objective import DistributedObjective
from fastopt.distributed.partitions import Load, PartitionError
from fastopt.distributed.rows import remote_rows

__all__ = ["DistributedObjective", "Load", "PartitionError", "remote_rows"]
