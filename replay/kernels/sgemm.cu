// C[m,n] = A[m,k] B[k,n], row-major float32, any size.
// Grid (ceil(n/64), ceil(m/64)), block 128. A block makes a 64 x 64 tile of C, a thread 8 x 4 of it: with tiles of
// 64, a product of 1024² has 256 blocks, enough for the 132 multiprocessors of an H100; with 128 it has 64.

#define TILE 64
#define DEPTH 16
#define ROWS 8 // of a thread
#define COLS 4
#define THREADS (TILE / ROWS * TILE / COLS)

extern "C" __global__ void __launch_bounds__(THREADS)
sgemm(int m, int n, int k, const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C)
{
    // A is stored transposed, so that a thread's 8 values of a column are two float4; the pad keeps float4
    // alignment and spreads the transposing stores over the banks.
    __shared__ __align__(16) float As[DEPTH][TILE + 4];
    __shared__ __align__(16) float Bs[DEPTH][TILE];
    const int t = threadIdx.x;
    const int row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;
    const int r = t / (TILE / COLS) * ROWS, c = t % (TILE / COLS) * COLS;
    float acc[ROWS][COLS] = {};

    for (int k0 = 0; k0 < k; k0 += DEPTH) {
#pragma unroll
        for (int i = t; i < TILE * DEPTH; i += THREADS) {
            const int row = row0 + i / DEPTH, ak = k0 + i % DEPTH;
            As[i % DEPTH][i / DEPTH] = row < m && ak < k ? A[(size_t)row * k + ak] : 0.f;
            const int bk = k0 + i / TILE, col = col0 + i % TILE;
            Bs[i / TILE][i % TILE] = bk < k && col < n ? B[(size_t)bk * n + col] : 0.f;
        }
        __syncthreads();
#pragma unroll
        for (int q = 0; q < DEPTH; ++q) {
            const float4 a0 = *(const float4*)&As[q][r], a1 = *(const float4*)&As[q][r + 4];
            const float4 b4 = *(const float4*)&Bs[q][c];
            const float a[ROWS] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
            const float b[COLS] = {b4.x, b4.y, b4.z, b4.w};
#pragma unroll
            for (int i = 0; i < ROWS; ++i)
#pragma unroll
                for (int j = 0; j < COLS; ++j) acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLS; ++j)
            if (row0 + r + i < m && col0 + c + j < n) C[(size_t)(row0 + r + i) * n + col0 + c + j] = acc[i][j];
}
