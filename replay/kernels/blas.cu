// What networks need around a library's products: one thread for each value of y.

// y[c, dy, dx, pixel] = the value of x that the weight (c, dy, dx) meets at a pixel of the result: a convolution as a
// product of its weights and this.
extern "C" __global__ void im2col(int channels, int h, int w, int out_h, int out_w, int size, int stride, int pad,
                                  const float* __restrict__ x, float* __restrict__ y)
{
    const int pixels = out_h * out_w;
    const size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)channels * size * size * pixels) return;
    const int row = at / pixels, pixel = at - (size_t)row * pixels, c = row / (size * size);
    const int iy = pixel / out_w * stride - pad + row / size % size, ix = pixel % out_w * stride - pad + row % size;
    y[at] = iy >= 0 && iy < h && ix >= 0 && ix < w ? x[((size_t)c * h + iy) * w + ix] : 0.f;
}

// y = y + bias of its channel [then ReLU].
extern "C" __global__ void finish_conv(int channels, int pixels, int relu, const float* __restrict__ bias,
                                       float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= channels * pixels) return;
    const float v = y[at] + bias[at / pixels];
    y[at] = relu ? fmaxf(v, 0.f) : v;
}

// y = y + bias of its channel + residual [then ReLU].
extern "C" __global__ void finish_conv_add(int channels, int pixels, int relu, const float* __restrict__ bias,
                                           const float* __restrict__ residual, float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= channels * pixels) return;
    const float v = y[at] + bias[at / pixels] + residual[at];
    y[at] = relu ? fmaxf(v, 0.f) : v;
}

// y = y + bias of its column.
extern "C" __global__ void add_bias(int rows, int columns, const float* __restrict__ bias, float* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < rows * columns) y[at] += bias[at % columns];
}

// y = x as float16, to nearest, ties to even (IEEE 754); written out because cuda_fp16.h comes with a toolkit only.
extern "C" __global__ void to_half(int n, const float* __restrict__ x, unsigned short* __restrict__ y)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= n) return;
    union { float value; unsigned bits; } v;
    v.value = x[at];
    const unsigned sign = v.bits >> 16 & 0x8000u;
    v.bits &= 0x7fffffffu;
    unsigned half;
    if (v.bits > 0x7f800000u) half = 0x7e00u; // not a number
    else if (v.bits >= 0x477ff000u) half = 0x7c00u; // 65,520 and more: infinity
    else if (v.bits < 0x38800000u) half = (unsigned)rintf(v.value * 16777216.f); // below 2^-14: multiples of 2^-24
    else half = (v.bits - 0x38000000u + 0xfffu + (v.bits >> 13 & 1u)) >> 13;
    y[at] = (unsigned short)(sign | half);
}
