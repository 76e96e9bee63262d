// One Jacobi sweep for (A + diagonal I) x = b with a dense n x n matrix: A in float32, vectors in float64.
// Grid ceil(n/4), block 128: one warp a row. A sweep reads 1 MiB of A at n = 512 and is bound by latency.

#define WARP 32
#define THREADS 128

// Writes x_new, made from x. `first` clears the residual, else the squared change is added to it: the two launches
// of a pair of sweeps need no third one for the zero. What is read from x is clamped to ±bound (a NaN becomes
// -bound), because x holds whatever the memory held before the first sweep.
extern "C" __global__ void __launch_bounds__(THREADS)
jacobi(int n, int first, double diagonal, double bound, const float* __restrict__ A, const double* __restrict__ b,
       const double* __restrict__ x, double* __restrict__ x_new, double* __restrict__ residual)
{
    const int lane = threadIdx.x % WARP;
    const int i = (blockIdx.x * THREADS + threadIdx.x) / WARP;
    if (first && i == 0 && lane == 0) *residual = 0.0;
    if (i >= n) return;

    const float* row = A + (size_t)i * n;
    double sum = 0.0; // of the row without its diagonal
#pragma unroll 4
    for (int j = lane; j < n; j += WARP)
        if (j != i) sum += row[j] * fmin(fmax(x[j], -bound), bound);
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
    if (lane != 0) return;

    const double value = (b[i] - sum) / (row[i] + diagonal);
    const double change = value - fmin(fmax(x[i], -bound), bound);
    x_new[i] = value;
    if (!first) atomicAdd(residual, change * change);
}
