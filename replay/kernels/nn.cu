// Layers of neural networks around the matrix products, float32, batch 1, images as channels x height x width.

__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
    return v;
}

__device__ __forceinline__ float warp_max(float v)
{
#pragma unroll
    for (int step = 16; step > 0; step >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, step));
    return v;
}

// ---- images: one thread for each value of y

// Each channel by itself: y = relu(x * w + bias).
extern "C" __global__ void depthwise_conv(int channels, int h, int w, int out_h, int out_w, int size, int stride,
                                          int pad, const float* __restrict__ x, const float* __restrict__ weight,
                                          const float* __restrict__ bias, float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x, pixels = out_h * out_w;
    if (at >= channels * pixels) return;
    const int c = at / pixels, oy = (at - c * pixels) / out_w, ox = at - c * pixels - oy * out_w;
    float sum = bias[c];
    for (int dy = 0; dy < size; ++dy) {
        const int iy = oy * stride - pad + dy;
        if (iy < 0 || iy >= h) continue;
        for (int dx = 0; dx < size; ++dx) {
            const int ix = ox * stride - pad + dx;
            if (ix < 0 || ix >= w) continue;
            sum = fmaf(x[((size_t)c * h + iy) * w + ix], weight[(c * size + dy) * size + dx], sum);
        }
    }
    y[at] = fmaxf(sum, 0.f);
}

extern "C" __global__ void max_pool(int channels, int h, int w, int out_h, int out_w, int size, int stride, int pad,
                                    const float* __restrict__ x, float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x, pixels = out_h * out_w;
    if (at >= channels * pixels) return;
    const int c = at / pixels, oy = (at - c * pixels) / out_w, ox = at - c * pixels - oy * out_w;
    float most = -3.4e38f;
    for (int dy = 0; dy < size; ++dy)
        for (int dx = 0; dx < size; ++dx) {
            const int iy = oy * stride - pad + dy, ix = ox * stride - pad + dx;
            if (iy >= 0 && iy < h && ix >= 0 && ix < w) most = fmaxf(most, x[((size_t)c * h + iy) * w + ix]);
        }
    y[at] = most;
}

// y[c, i f + di, j f + dj] = x[(c f + di) f + dj, i, j] for the factor f.
extern "C" __global__ void pixel_shuffle(int channels, int h, int w, int factor, const float* __restrict__ x,
                                         float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x, out_w = w * factor, pixels = h * factor * out_w;
    if (at >= channels * pixels) return;
    const int c = at / pixels, oy = (at - c * pixels) / out_w, ox = at - c * pixels - oy * out_w;
    const int from = (c * factor + oy % factor) * factor + ox % factor;
    y[at] = x[((size_t)from * h + oy / factor) * w + ox / factor];
}

// Mean of each channel. Block (8, channels of the block): 8 threads a channel.
extern "C" __global__ void global_average(int channels, int pixels, const float* __restrict__ x, float* __restrict__ y)
{
    const int c = blockIdx.x * blockDim.y + threadIdx.y;
    float sum = 0.f;
    if (c < channels)
        for (int i = threadIdx.x; i < pixels; i += 8) sum += x[(size_t)c * pixels + i];
#pragma unroll
    for (int step = 4; step > 0; step >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (c < channels && threadIdx.x == 0) y[c] = sum / pixels;
}

// ---- rows: block (32, rows of the block), one warp a row

// y[row, column] = x[row] . w[column] + bias[column]: a warp for each value of y.
extern "C" __global__ void linear(int rows, int columns, int depth, const float* __restrict__ x,
                                  const float* __restrict__ weight, const float* __restrict__ bias,
                                  float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.y + threadIdx.y;
    if (at >= rows * columns) return;
    const int row = at / columns, column = at - row * columns;
    float sum = 0.f;
    for (int k = threadIdx.x; k < depth; k += 32)
        sum = fmaf(x[(size_t)row * depth + k], weight[(size_t)column * depth + k], sum);
    sum = warp_sum(sum);
    if (threadIdx.x == 0) y[at] = sum + bias[column];
}

// Softmax of one row; with a mask, columns where it is 0 count as 10,000 less, as in BERT.
__device__ __forceinline__ void softmax_row(int columns, const float* x, const long long* mask, float* y)
{
    float most = -3.4e38f, sum = 0.f;
    for (int j = threadIdx.x; j < columns; j += 32) {
        const float v = x[j] - (mask && !mask[j] ? 10000.f : 0.f);
        y[j] = v;
        most = fmaxf(most, v);
    }
    most = warp_max(most);
    for (int j = threadIdx.x; j < columns; j += 32) {
        const float e = expf(y[j] - most);
        y[j] = e;
        sum += e;
    }
    sum = 1.f / warp_sum(sum);
    for (int j = threadIdx.x; j < columns; j += 32) y[j] *= sum;
}

extern "C" __global__ void softmax(int rows, int columns, const float* __restrict__ x, float* __restrict__ y)
{
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row < rows) softmax_row(columns, x + (size_t)row * columns, 0, y + (size_t)row * columns);
}

extern "C" __global__ void masked_softmax(int rows, int columns, const long long* __restrict__ mask, float* x)
{
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row < rows) softmax_row(columns, x + (size_t)row * columns, mask, x + (size_t)row * columns);
}

// Layer norm, in place, of a row that every lane has filled at its own columns. `gamma` is stored less 1.
__device__ __forceinline__ void normalise_row(int columns, float epsilon, const float* gamma, const float* beta,
                                              float sum, float* y)
{
    const float mean = warp_sum(sum) / columns;
    float square = 0.f;
    for (int j = threadIdx.x; j < columns; j += 32) square = fmaf(y[j] - mean, y[j] - mean, square);
    const float scale = rsqrtf(warp_sum(square) / columns + epsilon);
    for (int j = threadIdx.x; j < columns; j += 32) y[j] = fmaf((y[j] - mean) * scale, 1.f + gamma[j], beta[j]);
}

// y = layer norm of (x + bias + residual).
extern "C" __global__ void add_layer_norm(int rows, int columns, float epsilon, const float* __restrict__ x,
                                          const float* __restrict__ bias, const float* __restrict__ residual,
                                          const float* __restrict__ gamma, const float* __restrict__ beta,
                                          float* __restrict__ y)
{
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const size_t first = (size_t)row * columns;
    float sum = 0.f;
    for (int j = threadIdx.x; j < columns; j += 32) {
        const float v = x[first + j] + bias[j] + residual[first + j];
        y[first + j] = v;
        sum += v;
    }
    normalise_row(columns, epsilon, gamma, beta, sum, y + first);
}

// y = layer norm of (word + position + segment embedding) of each token; ids beyond the tables count as the last.
extern "C" __global__ void embed_layer_norm(int tokens, int columns, int vocabulary, float epsilon,
                                            const long long* __restrict__ ids, const long long* __restrict__ segments,
                                            const float* __restrict__ words, const float* __restrict__ positions,
                                            const float* __restrict__ kinds, const float* __restrict__ gamma,
                                            const float* __restrict__ beta, float* __restrict__ y)
{
    const int token = blockIdx.x * blockDim.y + threadIdx.y;
    if (token >= tokens) return;
    const unsigned long long id = ids[token], last = vocabulary - 1;
    const float* word = words + (id < last ? id : last) * columns;
    const float* kind = kinds + (segments[token] ? columns : 0);
    const size_t first = (size_t)token * columns;
    float sum = 0.f;
    for (int j = threadIdx.x; j < columns; j += 32) {
        const float v = word[j] + positions[first + j] + kind[j];
        y[first + j] = v;
        sum += v;
    }
    normalise_row(columns, epsilon, gamma, beta, sum, y + first);
}

// x = gelu(x + bias), in place: one thread for each value.
extern "C" __global__ void bias_gelu(int rows, int columns, const float* __restrict__ bias, float* x)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= rows * columns) return;
    const float v = x[at] + bias[at % columns];
    x[at] = 0.5f * v * (1.f + erff(v * 0.70710678f));
}
