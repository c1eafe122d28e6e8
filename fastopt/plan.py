"""What one call of a step's kernel needs: a row of int64 numbers, in Numba's kernels and in C (csrc/prelude.h).

rule     the rule's number in the C library; not used by Numba
k        address of a table of addresses: the float64 coefficients of each array
p, g     addresses of tables of addresses: parameters and gradients, one per array
s        the same of the state, one row per slot
arrays   how many arrays
chunks   address of rows (array, begin, end): the work, cut into pieces of bounded size
clock    address of the number of steps taken, which the kernel itself counts up when it has updated all
factors  address of three float64 numbers an array (unit, scale, most): gradients are multiplied by the first two, and
         held within [-most, most]
forms    address of the numbers (fastopt/storage.py) of the forms of the parameter and of each slot; 0 where all are
         of the table's dtype. Read by C; Numba's kernels are compiled for them
noise    address of uint32 numbers, three an array: the noise of step 0
"""

PLAN = ("rule", "k", "p", "g", "s", "arrays", "chunks", "clock", "factors", "forms", "noise")
CHUNK = 32_768  # elements per piece of work: the pieces are what threads share
