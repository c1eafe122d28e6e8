"""Short calls past the scheduler: a message to each worker that holds partitions, and one back.

Four tasks of nothing take Dask 14 to 20 ms on two cores, nearly all of it in the scheduler and the client; the messages
take 3. Only what goes well goes this way: whatever is amiss (a worker that is lost, late, or has not what is asked for) gives no
answer, and the same is then asked as tasks, which look after all of that and show on Dask's dashboard.
"""

import asyncio
import math

from fastopt.distributed import worker

SHORT = 0.25  # seconds that the last call of a kind took, for the next to be asked like this
LIMIT = 1.0  # seconds until it is asked as tasks


class Direct:
    """Calls of the workers of a client. known: seconds that the last call of each kind took."""

    def __init__(self, client):
        self.client, self.known = client, {}
        self._is_reached = self._is_given_up = False

    def __call__(self, kind, groups, given):
        """What worker.run gives of each of `groups`, [(address, keys of partitions)], called with `given`; None where it is not
        worth it or some worker did not answer."""
        if self._is_given_up or self.known.get(kind, math.inf) > SHORT or self.client.status != "running":
            return None
        if any(address is None for address, _ in groups):
            return None
        try:
            found = self.client.sync(self._ask, groups, given)
        except Exception:  # whatever it is, the tasks meet it again and say it
            found = None
        if found is None or None in found:
            self._is_given_up = not self._is_reached  # workers may be where only the scheduler gets to
            return None
        self._is_reached = True
        return found

    async def _ask(self, groups, given):
        from distributed.protocol.pickle import dumps

        function, shared = dumps(here), dumps(given)
        answers = [
            self.client.rpc(address).run(function=function, args=dumps((shared, keys)))
            for address, keys in groups
        ]
        found = await asyncio.wait_for(asyncio.gather(*answers), LIMIT)
        return [answer.get("result") for answer in found]


async def here(shared, keys, dask_worker):
    """worker.run of the partitions of these keys, in the threads of the worker's tasks; None where anything is wrong."""
    try:
        held = [dask_worker.data[key] for key in keys]
        pool, threads = dask_worker.executors["default"], dask_worker.state.nthreads
        return await asyncio.get_running_loop().run_in_executor(pool, _run, shared, held, threads)
    except Exception:
        return None


def _run(shared, held, own_threads):
    from distributed.protocol.pickle import loads

    function, live, backend, loss, threads = loads(shared)
    return worker.run(held, function, live, backend, loss, threads or own_threads)
