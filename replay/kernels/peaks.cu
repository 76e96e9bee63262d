// Arithmetic and nothing else, for the peak rate of a device.

#define CHAINS 64 // of a thread, independent of each other: enough to hide the latency of an operation, also on a CPU
#define STEPS 8 // of each chain in a round: enough to hide the counting of rounds
#define THREADS 256

// y[thread] = the sum of its chains, CHAINS * STEPS fused multiply-adds a round. a and b are known at run time only, so
// that no compiler can shorten a chain; with both 1 a chain counts its steps, exactly as long as it is below 2^24.
extern "C" __global__ void __launch_bounds__(THREADS)
multiply_adds(int rounds, float a, float b, float* __restrict__ y)
{
    float x[CHAINS], sum = 0.f;
#pragma unroll
    for (int chain = 0; chain < CHAINS; ++chain) x[chain] = threadIdx.x + chain;
    for (int round = 0; round < rounds; ++round)
#pragma unroll
        for (int step = 0; step < STEPS; ++step)
#pragma unroll
            for (int chain = 0; chain < CHAINS; ++chain) x[chain] = fmaf(x[chain], a, b);
#pragma unroll
    for (int chain = 0; chain < CHAINS; ++chain) sum += x[chain];
    y[blockIdx.x * THREADS + threadIdx.x] = sum;
}
