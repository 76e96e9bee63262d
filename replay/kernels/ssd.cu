// The end of a single-shot detector: boxes from the network's scores and offsets, then non-maximum suppression.
// A box is six floats: class (-1: none), score, x0, y0, x1, y1.

#define BOX 6 // floats
#define THREADS 256

// One thread an anchor: its best class but the background (class 0 of `scores`), with its probability, and its box.
// Anchors are (centre x, centre y, log width, log height); offsets have the variances 0.1 and 0.2 (Liu et al.).
extern "C" __global__ void decode(int anchors, int classes, const float* __restrict__ scores,
                                  const float4* __restrict__ offsets, const float4* __restrict__ boxes,
                                  float* __restrict__ candidates)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= anchors) return;
    const float* s = scores + (size_t)at * (classes + 1);
    int best = 1;
    float most = s[0], sum = 0.f;
    for (int c = 1; c <= classes; ++c) {
        if (s[c] > s[best]) best = c;
        most = fmaxf(most, s[c]);
    }
    for (int c = 0; c <= classes; ++c) sum += expf(s[c] - most);

    const float4 a = boxes[at], o = offsets[at];
    const float x = a.x + 0.1f * o.x * expf(a.z), half_w = 0.5f * expf(a.z + 0.2f * o.z);
    const float y = a.y + 0.1f * o.y * expf(a.w), half_h = 0.5f * expf(a.w + 0.2f * o.w);
    float* box = candidates + (size_t)at * BOX;
    box[0] = best - 1;
    box[1] = expf(s[best] - most) / sum;
    box[2] = x - half_w;
    box[3] = y - half_h;
    box[4] = x + half_w;
    box[5] = y + half_h;
}

__device__ __forceinline__ float overlap(const float* p, const float* q)
{
    const float w = fminf(p[4], q[4]) - fmaxf(p[2], q[2]), h = fminf(p[5], q[5]) - fmaxf(p[3], q[3]);
    if (w <= 0.f || h <= 0.f) return 0.f;
    return w * h / ((p[4] - p[2]) * (p[5] - p[3]) + (q[4] - q[2]) * (q[5] - q[3]) - w * h);
}

// Up to `keep` candidates, best first, without those that overlap a better one of their class by more than
// `max_overlap` (intersection over union) or score less than `min_score` >= 0. One block; consumes the candidates'
// scores. Of equal scores the first candidate wins.
extern "C" __global__ void __launch_bounds__(THREADS)
suppress(int candidates, int keep, float max_overlap, float min_score, float* boxes, float* __restrict__ detections)
{
    __shared__ unsigned long long best[THREADS / 32];
    __shared__ float winner[BOX];
    __shared__ int winner_at;
    const int t = threadIdx.x;
    if (t == 0) winner_at = -1;
    __syncthreads();
    for (int n = 0; n < keep; ++n) {
        unsigned long long key = 0; // score and then the reversed index: as positive floats order like their bits
        for (int i = t; i < candidates; i += THREADS) { // strike what the last winner covers, find the next
            float* box = boxes + (size_t)i * BOX;
            if (box[1] < min_score) continue;
            const bool same_class = winner_at >= 0 && box[0] == winner[0];
            if (i == winner_at || (same_class && overlap(box, winner) > max_overlap)) { box[1] = -1.f; continue; }
            const unsigned long long mine = (unsigned long long)__float_as_int(box[1]) << 32 | ~(unsigned)i;
            if (mine > key) key = mine;
        }
#pragma unroll
        for (int step = 16; step > 0; step >>= 1) {
            const unsigned long long other = __shfl_xor_sync(0xffffffffu, key, step);
            if (other > key) key = other;
        }
        if (t % 32 == 0) best[t / 32] = key;
        __syncthreads();
        if (t == 0) {
            for (int w = 1; w < THREADS / 32; ++w)
                if (best[w] > key) key = best[w];
            winner_at = key ? (int)~(unsigned)key : -1;
            for (int v = 0; v < BOX; ++v) {
                winner[v] = key ? boxes[(size_t)winner_at * BOX + v] : -1.f;
                detections[n * BOX + v] = winner[v];
            }
        }
        __syncthreads();
    }
}
