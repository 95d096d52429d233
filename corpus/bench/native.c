// The native baseline's loop over the agents' inputs: linked with one workload to a library of which
// every thread loads a copy of its own, so that workloads can keep their data in static variables.
#include "bench.h"

uint64_t run(uint32_t seed, uint32_t size);

// Runs the inputs that are left. `next` is the first of them, shared by all threads.
EXPORT(run_all)
void run_all(const uint32_t *seeds, uint32_t size, uint64_t *results, int64_t count, int64_t *next) {
    for (;;) {
        int64_t i = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
        if (i >= count) {
            return;
        }
        results[i] = run(seeds[i], size);
    }
}
