// Complex64 products for a tall-skinny problem, row-major, real and imaginary parts interleaved, any size.

#define TILE_M 100
#define TILE_N 96
#define DEPTH 16
#define ROWS 5 // of a thread
#define COLS 6
#define GEMM_THREADS (TILE_M / ROWS * TILE_N / COLS)
#define GEMV_THREADS 512

__device__ __forceinline__ float2 multiply_add(float2 a, float2 b, float2 c)
{
    c.x = fmaf(a.x, b.x, fmaf(-a.y, b.y, c.x));
    c.y = fmaf(a.x, b.y, fmaf(a.y, b.x, c.y));
    return c;
}

// C[m,n] = A[m,k] B[k,n]. Grid (ceil(n/96), ceil(m/100)), block 320. A block makes a 100 x 96 tile of C, a thread
// 5 x 6 of it. With m = 100 there is one row of blocks, so that B, the 2 GB operand, is read once; n = 25000 then
// gives 261 blocks, just under the 264 that fit on the 132 multiprocessors of an H100 at two each. That leaves 96
// registers to a thread; the unroll counts are the largest that need no more.
extern "C" __global__ void __launch_bounds__(GEMM_THREADS, 2)
cgemm(int m, int n, int k, const float2* __restrict__ A, const float2* __restrict__ B, float2* __restrict__ C)
{
    // The pad puts the two rows that a warp reads at a time in different banks.
    __shared__ float2 As[TILE_M][DEPTH + 1];
    __shared__ __align__(16) float2 Bs[DEPTH][TILE_N];
    const int t = threadIdx.x;
    const int row0 = blockIdx.y * TILE_M, col0 = blockIdx.x * TILE_N;
    const int r = t / (TILE_N / COLS) * ROWS, c = t % (TILE_N / COLS) * COLS;
    float2 acc[ROWS][COLS] = {};

    for (int k0 = 0; k0 < k; k0 += DEPTH) {
#pragma unroll 3
        for (int i = t; i < TILE_M * DEPTH; i += GEMM_THREADS) {
            const int row = row0 + i / DEPTH, ak = k0 + i % DEPTH;
            As[i / DEPTH][i % DEPTH] = row < m && ak < k ? A[(size_t)row * k + ak] : make_float2(0.f, 0.f);
        }
#pragma unroll 3
        for (int i = t; i < DEPTH * TILE_N; i += GEMM_THREADS) {
            const int bk = k0 + i / TILE_N, col = col0 + i % TILE_N;
            Bs[i / TILE_N][i % TILE_N] = bk < k && col < n ? B[(size_t)bk * n + col] : make_float2(0.f, 0.f);
        }
        __syncthreads();
#pragma unroll 1
        for (int q = 0; q < DEPTH; ++q) {
            float2 a[ROWS], b[COLS];
#pragma unroll
            for (int i = 0; i < ROWS; ++i) a[i] = As[r + i][q];
#pragma unroll
            for (int j = 0; j < COLS; j += 2) {
                const float4 two = *(const float4*)&Bs[q][c + j];
                b[j] = make_float2(two.x, two.y);
                b[j + 1] = make_float2(two.z, two.w);
            }
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
#pragma unroll
                for (int j = 0; j < COLS; ++j) acc[i][j] = multiply_add(a[i], b[j], acc[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLS; ++j)
            if (row0 + r + i < m && col0 + c + j < n) C[(size_t)(row0 + r + i) * n + col0 + c + j] = acc[i][j];
}

// e[m] = C[m,n] d[n]. Grid m, block 512: a block splits its row over its threads and reduces in a tree.
extern "C" __global__ void __launch_bounds__(GEMV_THREADS)
cgemv(int n, const float2* __restrict__ C, const float2* __restrict__ d, float2* __restrict__ e)
{
    __shared__ float2 sums[GEMV_THREADS];
    const int t = threadIdx.x;
    const float2* row = C + (size_t)blockIdx.x * n;
    float2 sum = make_float2(0.f, 0.f);
#pragma unroll 4
    for (int j = t; j < n; j += GEMV_THREADS) sum = multiply_add(row[j], d[j], sum);
    sums[t] = sum;
    __syncthreads();
    for (int half = GEMV_THREADS / 2; half > 0; half /= 2) {
        if (t < half) {
            sums[t].x += sums[t + half].x;
            sums[t].y += sums[t + half].y;
        }
        __syncthreads();
    }
    if (t == 0) e[blockIdx.x] = sums[0];
}
