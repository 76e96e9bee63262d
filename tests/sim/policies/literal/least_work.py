"""The work of every worker, summed anew for each arrival."""

from tests.sim.policies.literal.pool import LiteralEarly


class LiteralLeastWork(LiteralEarly):
    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.began_s = [0.0] * fleet.n_gpus

    def choose(self, now_s, new):
        work_s = [self.work_s(now_s, worker) for worker in range(len(self.given))]
        worker = work_s.index(min(work_s))
        if not self.given[worker]:
            self.began_s[worker] = now_s
        return worker

    def work_s(self, now_s, worker):
        expected_s = [self.expected_s[one.function] for one in self.given[worker]]
        if expected_s:
            expected_s[0] = max(0.0, expected_s[0] - (now_s - self.began_s[worker]))
        return sum(expected_s)

    def ended(self, now_s, worker):
        self.began_s[worker] = now_s
