// Matrix products and convolutions (as matrix products over gathered pixels), float32, any shape. A matrix or an image
// has fewer than 2^31 values: a GPU takes four instructions to multiply 64-bit indices.
//
// One block of 128 threads makes a tile of the result, a thread 4 x 8 values of it. Tiles of 64 x 64 move the least
// data. Tiles of 32 x 32 are for results too small to fill a GPU with large ones: each of the four warps takes a
// quarter of the inner dimension, and the quarters are summed in shared memory (split-K without a second launch).

#define THREADS 128
#define TM 4 // rows and columns of a thread
#define TN 8
#define PAD 4 // keeps float4 alignment and spreads transposing stores over the banks

// Shape of a block: ROWS x COLS of the result, DEPTH of the inner dimension at a time, split among GROUPS of threads.
template <int ROWS_, int COLS_, int DEPTH_, int GROUPS_>
struct Tile {
    static const int ROWS = ROWS_, COLS = COLS_, DEPTH = DEPTH_, GROUPS = GROUPS_;
    static const int STAGE = DEPTH * (ROWS + PAD + COLS); // floats; two stages, to load one while computing the other
};
typedef Tile<64, 64, 16, 1> Large;
typedef Tile<32, 32, 32, 4> Small;

// An operand's tile has SIDE rows (of a) or columns (of b) and DEPTH inner indices. Neighbouring threads load elements
// that are neighbours in memory, so along the inner dimension or across it.
enum Order { ALONG_INNER, ACROSS_INNER };

template <Order O, int SIDE, int DEPTH>
__device__ __forceinline__ int side_of(int t, int e)
{
    return O == ALONG_INNER ? t / DEPTH + e * (THREADS / DEPTH) : t % SIDE;
}

template <Order O, int SIDE, int DEPTH>
__device__ __forceinline__ int inner_of(int t, int e)
{
    return O == ALONG_INNER ? t % DEPTH : t / SIDE + e * (THREADS / SIDE);
}

template <Order O, int SIDE, int DEPTH, class Operand>
__device__ __forceinline__ void fetch(const Operand& operand, int side0, int k0, float* values)
{
#pragma unroll
    for (int e = 0; e < SIDE * DEPTH / THREADS; ++e)
        values[e] = operand(side0 + side_of<O, SIDE, DEPTH>(threadIdx.x, e),
                            k0 + inner_of<O, SIDE, DEPTH>(threadIdx.x, e));
}

template <Order O, int SIDE, int DEPTH>
__device__ __forceinline__ void put(const float* values, float* tile, int pitch)
{
#pragma unroll
    for (int e = 0; e < SIDE * DEPTH / THREADS; ++e)
        tile[inner_of<O, SIDE, DEPTH>(threadIdx.x, e) * pitch + side_of<O, SIDE, DEPTH>(threadIdx.x, e)] = values[e];
}

// Adds to `sum` what the tiles As (DEPTH x ROWS) and Bs (DEPTH x COLS) hold for the group's share of DEPTH.
template <class T>
__device__ __forceinline__ void accumulate(const float* As, const float* Bs, int group, int r, int c,
                                           float (&sum)[TM][TN])
{
    const int first = group * (T::DEPTH / T::GROUPS);
#pragma unroll
    for (int q = first; q < first + T::DEPTH / T::GROUPS; ++q) {
        const float4 a = *(const float4*)(As + q * (T::ROWS + PAD) + r);
        const float4 b0 = *(const float4*)(Bs + q * T::COLS + c);
        const float4 b1 = *(const float4*)(Bs + q * T::COLS + T::COLS / 2 + c);
        const float x[TM] = {a.x, a.y, a.z, a.w};
        const float y[TN] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN; ++j) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
    }
}

// Calls store(row, column, sum over k of a(row, k) * b(column, k)) for the block's tile of the result. The operands
// give 0 outside of their matrices, `store` ignores what is outside of the result.
template <class T, Order A, Order B, class OperandA, class OperandB, class Store>
__device__ __forceinline__ void multiply(int depth, const OperandA& a, const OperandB& b, const Store& store)
{
    __shared__ __align__(16) float memory[2 * T::STAGE];
    const int lanes = THREADS / T::GROUPS, group = threadIdx.x / lanes, lane = threadIdx.x % lanes;
    const int row0 = blockIdx.y * T::ROWS, r = lane / (T::COLS / TN) * TM;
    const int col0 = blockIdx.x * T::COLS, c = lane % (T::COLS / TN) * 4; // columns c.. and COLS / 2 + c..
    float next_a[T::ROWS * T::DEPTH / THREADS], next_b[T::COLS * T::DEPTH / THREADS], sum[TM][TN] = {};

    for (int k0 = -T::DEPTH, stage = 1; k0 < depth; k0 += T::DEPTH, stage ^= 1) {
        const bool more = k0 + T::DEPTH < depth;
        float* As = memory + stage * T::STAGE;
        float* next = memory + (stage ^ 1) * T::STAGE;
        if (more) {
            fetch<A, T::ROWS, T::DEPTH>(a, row0, k0 + T::DEPTH, next_a);
            fetch<B, T::COLS, T::DEPTH>(b, col0, k0 + T::DEPTH, next_b);
        }
        if (k0 >= 0) accumulate<T>(As, As + T::DEPTH * (T::ROWS + PAD), group, r, c, sum);
        if (more) {
            put<A, T::ROWS, T::DEPTH>(next_a, next, T::ROWS + PAD);
            put<B, T::COLS, T::DEPTH>(next_b, next + T::DEPTH * (T::ROWS + PAD), T::COLS);
        }
        __syncthreads();
    }

    if (T::GROUPS > 1) { // share the partial sums: a group finishes one of a thread's rows
#pragma unroll
        for (int i = 0; i < TM * TN; ++i) memory[(i * T::GROUPS + group) * lanes + lane] = sum[i / TN][i % TN];
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < TM / T::GROUPS; ++i)
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            const int row = T::GROUPS > 1 ? group : i;
            float total = T::GROUPS > 1 ? 0.f : sum[i][j];
            if (T::GROUPS > 1)
#pragma unroll
                for (int g = 0; g < T::GROUPS; ++g) total += memory[((row * TN + j) * T::GROUPS + g) * lanes + lane];
            store(row0 + r + row, col0 + j / 4 * (T::COLS / 2) + c + j % 4, total);
        }
}

// ---- matrices: c = alpha a b [+ bias of each column], for a batch of strided parts of buffers
// Literals: m, n, k; pitch, first element and step to the next of the batch for each of a, b and c; alpha.
// Grid (ceil(n / COLS), ceil(m / ROWS), batch). b is k x n (ACROSS_INNER) or n x k (ALONG_INNER).

template <class T, Order B>
__device__ __forceinline__ void gemm(int m, int n, int k, const float* a, int a_pitch, const float* b, int b_pitch,
                                     const float* bias, float* c, int c_pitch, float alpha)
{
    multiply<T, ALONG_INNER, B>(
        k, [=](int i, int q) { return i < m && q < k ? a[i * a_pitch + q] : 0.f; },
        [=](int j, int q) {
            return j < n && q < k ? b[B == ALONG_INNER ? j * b_pitch + q : q * b_pitch + j] : 0.f;
        },
        [=](int i, int j, float sum) {
            if (i < m && j < n) c[i * c_pitch + j] = fmaf(alpha, sum, bias ? bias[j] : 0.f);
        });
}

#define PART(p) p + p##_first + (size_t)blockIdx.z * p##_step

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_nn_64x64(int m, int n, int k, int a_pitch, int a_first, int a_step, int b_pitch, int b_first, int b_step,
              int c_pitch, int c_first, int c_step, float alpha, const float* __restrict__ a,
              const float* __restrict__ b, float* __restrict__ c)
{
    gemm<Large, ACROSS_INNER>(m, n, k, PART(a), a_pitch, PART(b), b_pitch, 0, PART(c), c_pitch, alpha);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_nn_32x32(int m, int n, int k, int a_pitch, int a_first, int a_step, int b_pitch, int b_first, int b_step,
              int c_pitch, int c_first, int c_step, float alpha, const float* __restrict__ a,
              const float* __restrict__ b, float* __restrict__ c)
{
    gemm<Small, ACROSS_INNER>(m, n, k, PART(a), a_pitch, PART(b), b_pitch, 0, PART(c), c_pitch, alpha);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_nt_64x64(int m, int n, int k, int a_pitch, int a_first, int a_step, int b_pitch, int b_first, int b_step,
              int c_pitch, int c_first, int c_step, float alpha, const float* __restrict__ a,
              const float* __restrict__ b, float* __restrict__ c)
{
    gemm<Large, ALONG_INNER>(m, n, k, PART(a), a_pitch, PART(b), b_pitch, 0, PART(c), c_pitch, alpha);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_nt_32x32(int m, int n, int k, int a_pitch, int a_first, int a_step, int b_pitch, int b_first, int b_step,
              int c_pitch, int c_first, int c_step, float alpha, const float* __restrict__ a,
              const float* __restrict__ b, float* __restrict__ c)
{
    gemm<Small, ALONG_INNER>(m, n, k, PART(a), a_pitch, PART(b), b_pitch, 0, PART(c), c_pitch, alpha);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_bias_64x64(int m, int n, int k, int a_pitch, int a_first, int a_step, int b_pitch, int b_first, int b_step,
                int c_pitch, int c_first, int c_step, float alpha, const float* __restrict__ a,
                const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    gemm<Large, ACROSS_INNER>(m, n, k, PART(a), a_pitch, PART(b), b_pitch, bias, PART(c), c_pitch, alpha);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemm_bias_32x32(int m, int n, int k, int a_pitch, int a_first, int a_step, int b_pitch, int b_first, int b_step,
                int c_pitch, int c_first, int c_step, float alpha, const float* __restrict__ a,
                const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c)
{
    gemm<Small, ACROSS_INNER>(m, n, k, PART(a), a_pitch, PART(b), b_pitch, bias, PART(c), c_pitch, alpha);
}

// ---- convolutions: y = x * weight + bias [+ residual] [then ReLU], one image of channels x height x width
// Literals: shape of x, shape of y, size, stride and padding of the window, relu, and where y goes: its first element
// and the steps to the next channel and pixel. Grid (ceil(pixels / COLS), ceil(channels / ROWS)).

// n / divisor by the divisor's inverse, for a divisor above 1 and n * divisor < 2^32: a GPU needs about 20 instructions
// to divide integers.
__device__ __forceinline__ unsigned inverse_of(unsigned divisor) { return 0xffffffffu / divisor + 1u; }
__device__ __forceinline__ int divide(unsigned n, unsigned inverse) { return (unsigned long long)n * inverse >> 32; }

template <class T>
__device__ __forceinline__ void conv(int channels, int h, int w, int out_channels, int out_h, int out_w, int size,
                                     int stride, int pad, int relu, int y_first, int y_channel_step, int y_pixel_step,
                                     const float* x, const float* weight, const float* bias, const float* residual,
                                     float* y)
{
    const int area = size * size, depth = channels * area, pixels = out_h * out_w;
    const unsigned per_area = inverse_of(area), per_size = inverse_of(size);
    // The pixel whose window this thread loads is always the same.
    const int pixel = blockIdx.x * T::COLS + side_of<ACROSS_INNER, T::COLS, T::DEPTH>(threadIdx.x, 0);
    const int y0 = pixel / out_w * stride - pad, x0 = pixel % out_w * stride - pad;

    multiply<T, ALONG_INNER, ACROSS_INNER>(
        depth, [=](int i, int k) { return i < out_channels && k < depth ? weight[i * depth + k] : 0.f; },
        [=](int, int k) {
            const int channel = size > 1 ? divide(k, per_area) : k, rest = k - channel * area;
            const int dy = size > 1 ? divide(rest, per_size) : 0, dx = rest - dy * size;
            const int iy = y0 + dy, ix = x0 + dx;
            const bool inside = pixel < pixels && k < depth && iy >= 0 && iy < h && ix >= 0 && ix < w;
            return inside ? x[(channel * h + iy) * w + ix] : 0.f;
        },
        [=](int i, int j, float sum) {
            if (i >= out_channels || j >= pixels) return;
            const int at = y_first + i * y_channel_step + j * y_pixel_step;
            const float v = sum + bias[i] + (residual ? residual[at] : 0.f);
            y[at] = relu ? fmaxf(v, 0.f) : v;
        });
}

#define CONV_SHAPE channels, h, w, out_channels, out_h, out_w, size, stride, pad, relu, \
    y_first, y_channel_step, y_pixel_step

extern "C" __global__ void __launch_bounds__(THREADS)
conv_64x64(int channels, int h, int w, int out_channels, int out_h, int out_w, int size, int stride, int pad,
           int relu, int y_first, int y_channel_step, int y_pixel_step, const float* __restrict__ x,
           const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y)
{
    conv<Large>(CONV_SHAPE, x, weight, bias, 0, y);
}

extern "C" __global__ void __launch_bounds__(THREADS)
conv_32x32(int channels, int h, int w, int out_channels, int out_h, int out_w, int size, int stride, int pad,
           int relu, int y_first, int y_channel_step, int y_pixel_step, const float* __restrict__ x,
           const float* __restrict__ weight, const float* __restrict__ bias, float* __restrict__ y)
{
    conv<Small>(CONV_SHAPE, x, weight, bias, 0, y);
}

extern "C" __global__ void __launch_bounds__(THREADS)
conv_add_64x64(int channels, int h, int w, int out_channels, int out_h, int out_w, int size, int stride, int pad,
               int relu, int y_first, int y_channel_step, int y_pixel_step, const float* __restrict__ x,
               const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ residual,
               float* __restrict__ y)
{
    conv<Large>(CONV_SHAPE, x, weight, bias, residual, y);
}

extern "C" __global__ void __launch_bounds__(THREADS)
conv_add_32x32(int channels, int h, int w, int out_channels, int out_h, int out_w, int size, int stride, int pad,
               int relu, int y_first, int y_channel_step, int y_pixel_step, const float* __restrict__ x,
               const float* __restrict__ weight, const float* __restrict__ bias, const float* __restrict__ residual,
               float* __restrict__ y)
{
    conv<Small>(CONV_SHAPE, x, weight, bias, residual, y);
}
