// Runs header-free CUDA C on a CPU, one block at a time and on one OS thread, for tests and machines without a GPU.
// Usage: g++ -std=c++17 -shared -fPIC -include cuda_on_cpu.h k.cpp, where k.cpp is the CUDA source with its
// `extern __shared__` declarations rewritten and a CUDA_ON_CPU_EXPORT for each kernel (replay/device/cpu/build.py).
//
// The threads of a block are started one after another on the same stack ("fiber"). A thread that comes to a barrier
// or a warp operation keeps its fiber and hands the CPU to the next thread, on another fiber: a kernel without
// barriers is a plain loop, and one with barriers costs one switch of stacks per thread and barrier.
//
// Not modelled: concurrency of blocks, weak memory order, inline PTX, grid-wide barriers, fp16, denormal flushing.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <type_traits>
#include <utility>
#if !defined(__x86_64__) && !defined(CUDA_ON_CPU_UCONTEXT)
#define CUDA_ON_CPU_UCONTEXT
#endif
#ifdef CUDA_ON_CPU_UCONTEXT
#include <ucontext.h>
#endif

// Shared variables lie in a section of their own, so that they can be poisoned before each block. The compiler allows
// that in templates if they are static, so every __device__ function is, and members of classes can't be marked.
#define __shared__ static __attribute__((section("cuda_shared")))
#define __global__
#define __device__ static
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define warpSize 32

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }

// Bounds of the section of shared variables, from the linker; null where a source has none.
extern "C" char __start_cuda_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_cuda_shared[] __attribute__((weak, visibility("hidden")));

namespace on_cpu {

constexpr unsigned MAX_THREADS = 1024, WARP = 32;
constexpr size_t STACK_BYTES = 64 << 10, MAX_SHARED_BYTES = 227 << 10; // 227 KiB: the most that a block of an H100 may have
constexpr unsigned char POISON = 0xff; // floats and doubles of these bytes are NaN
enum State : uint8_t { NEW, READY, RUNNING, AT_BARRIER, AT_WARP, DONE };
enum Result { OK, BAD_LAUNCH, DEADLOCK };

struct Fiber {
#ifdef CUDA_ON_CPU_UCONTEXT
    ucontext_t context;
#else
    void* stack_pointer;
#endif
};

// Everything about the launch in progress. Arrays are indexed by the linear number of a thread in its block.
struct Launch {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
    unsigned current; // the running thread and its fiber
    Fiber* fiber;
    unsigned n, n_left, n_at_barrier, n_at_warp, cursor; // cursor: place in `order` of the thread to look at next
    uint8_t state[MAX_THREADS];
    uint3 thread_idx[MAX_THREADS];
    unsigned order[MAX_THREADS], mask[MAX_THREADS];
    Fiber* fiber_of[MAX_THREADS]; // of threads that wait
    uint64_t given[MAX_THREADS], exchanged[MAX_THREADS];
    void (*run)(void**);
    void** arguments;
    Fiber main, fibers[MAX_THREADS];
    Fiber* idle[MAX_THREADS];
    unsigned n_idle;
    char* stacks;
    bool clean; // fibers are as after creation or at the end of their loop
    bool poison;
    int schedule;
    alignas(16) char dynamic_shared[MAX_SHARED_BYTES];
};
static Launch g;

static void fiber_main();

#ifdef CUDA_ON_CPU_UCONTEXT
static inline void switch_stacks(Fiber* from, Fiber* to) { swapcontext(&from->context, &to->context); }
static void prepare(Fiber* fiber, char* stack)
{
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, fiber_main, 0);
}
#else
// Saves what the System V ABI asks a callee to keep; about ten times faster than swapcontext, which asks the kernel.
extern "C" void cuda_on_cpu_switch(void** save_stack_pointer, void* stack_pointer);
asm(".text\n.p2align 4\n.local cuda_on_cpu_switch\n.type cuda_on_cpu_switch,@function\ncuda_on_cpu_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
static inline void switch_stacks(Fiber* from, Fiber* to) { cuda_on_cpu_switch(&from->stack_pointer, to->stack_pointer); }
static void prepare(Fiber* fiber, char* stack)
{
    void** top = (void**)(stack + STACK_BYTES);
    *--top = nullptr; // so that the stack is aligned as after a call
    *--top = (void*)&fiber_main;
    for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = nullptr;
    fiber->stack_pointer = top;
}
#endif

static void prepare_fibers()
{
    if (!g.stacks) {
        void* p = mmap(nullptr, MAX_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) __builtin_trap();
        g.stacks = (char*)p;
    }
    for (unsigned i = 0; i < MAX_THREADS; ++i) {
        prepare(&g.fibers[i], g.stacks + i * STACK_BYTES);
        g.idle[i] = &g.fibers[MAX_THREADS - 1 - i];
    }
    g.n_idle = MAX_THREADS;
    g.clean = true;
}

static inline void enter(unsigned thread)
{
    g.state[thread] = RUNNING;
    g.current = thread;
    g.thread = g.thread_idx[thread];
}

// Lets the threads of a warp go on whose whole mask has come to the same warp operation (or has ended), and passes on
// what they gave. Values are copied here, when all have come: a thread may then give its next value at any time.
static bool release_warps()
{
    bool released = false;
    for (unsigned first = 0; first < g.n && g.n_at_warp; first += WARP) {
        const unsigned last = first + WARP < g.n ? first + WARP : g.n;
        for (unsigned i = first; i < last; ++i) {
            if (g.state[i] != AT_WARP) continue;
            const unsigned mask = g.mask[i];
            bool complete = true;
            for (unsigned j = first; j < last; ++j)
                if (mask >> (j - first) & 1)
                    complete &= g.state[j] == DONE || (g.state[j] == AT_WARP && g.mask[j] == mask);
            if (!complete) continue;
            for (unsigned j = first; j < last; ++j) {
                if (!(mask >> (j - first) & 1)) continue;
                g.exchanged[j] = g.state[j] == DONE ? 0 : g.given[j];
                if (g.state[j] == DONE) continue;
                g.state[j] = READY;
                --g.n_at_warp;
            }
            released = true;
        }
    }
    return released;
}

static bool release_block()
{
    if (g.n_at_barrier != g.n_left) return false;
    for (unsigned i = 0; i < g.n; ++i)
        if (g.state[i] == AT_BARRIER) g.state[i] = READY;
    g.n_at_barrier = 0;
    return true;
}

// The fiber that goes on: of the next thread in order that can run, or the one of launch() when none is left or can.
static Fiber* pick()
{
    for (;;) {
        while (g.cursor < g.n) {
            const unsigned i = g.order[g.cursor++];
            if (g.state[i] != NEW && g.state[i] != READY) continue;
            Fiber* fiber = g.state[i] == NEW ? g.idle[--g.n_idle] : g.fiber_of[i];
            enter(i);
            return g.fiber = fiber;
        }
        if (!g.n_left || !(release_block() || release_warps())) return &g.main;
        g.cursor = 0;
    }
}

static __attribute__((noinline)) void hand_over(Fiber* mine)
{
    Fiber* next = pick();
    if (next != mine) switch_stacks(mine, next);
}

static inline void wait(State state)
{
    g.state[g.current] = state;
    g.fiber_of[g.current] = g.fiber;
    hand_over(g.fiber);
}

static void fiber_main()
{
    for (;;) {
        g.run(g.arguments);
        g.idle[g.n_idle++] = g.fiber;
        hand_over(g.fiber);
    }
}

// Ends the running thread; true if the next in order is a new one, which then runs on the same fiber.
static inline bool next_thread()
{
    g.state[g.current] = DONE;
    --g.n_left;
    if (g.cursor == g.n || g.state[g.order[g.cursor]] != NEW) return false;
    enter(g.order[g.cursor++]);
    return true;
}

static uint64_t random_number(uint64_t* state) { return (*state = *state * 6364136223846793005ull + 1442695040888963407ull) >> 33; }

// Schedule 0 runs threads and blocks in ascending order, 1 in descending order, any other in an order made from it:
// correct kernels don't depend on it, and those with a missing barrier nearly always do.
static void make_order()
{
    for (unsigned i = 0; i < g.n; ++i) g.order[i] = g.schedule == 1 ? g.n - 1 - i : i;
    uint64_t state = (uint64_t)g.schedule;
    if (g.schedule > 1)
        for (unsigned i = g.n; i > 1; --i) std::swap(g.order[i - 1], g.order[random_number(&state) % i]);
}

static uint64_t block_at(uint64_t place, uint64_t n_blocks)
{
    constexpr uint64_t PRIME = 2147483647; // not a divisor of the number of blocks, so that this is a permutation
    if (g.schedule == 0) return place;
    if (g.schedule == 1) return n_blocks - 1 - place;
    return (place * PRIME + (uint64_t)g.schedule) % n_blocks;
}

static Result run_block(size_t shared_bytes)
{
    if (g.poison) {
        memset(g.dynamic_shared, POISON, shared_bytes);
        memset(__start_cuda_shared, POISON, (size_t)(__stop_cuda_shared - __start_cuda_shared));
    }
    memset(g.state, NEW, g.n);
    g.n_left = g.n;
    g.n_at_barrier = g.n_at_warp = g.cursor = 0;
    hand_over(&g.main);
    g.clean = !g.n_left;
    return g.clean ? OK : DEADLOCK;
}

static Result launch(void (*run)(void**), dim3 grid, dim3 block, size_t shared_bytes, void** arguments, int schedule,
                     int poison)
{
    const uint64_t n = (uint64_t)block.x * block.y * block.z, n_blocks = (uint64_t)grid.x * grid.y * grid.z;
    if (!n || n > MAX_THREADS || !n_blocks || shared_bytes > MAX_SHARED_BYTES) return BAD_LAUNCH;
    if (!g.clean) prepare_fibers();
    g.n = (unsigned)n;
    g.schedule = schedule;
    g.poison = poison;
    g.grid_dim = grid;
    g.block_dim = block;
    g.run = run;
    g.arguments = arguments;
    for (unsigned i = 0; i < g.n; ++i) g.thread_idx[i] = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    make_order();
    for (uint64_t place = 0; place < n_blocks; ++place) {
        const uint64_t b = block_at(place, n_blocks);
        g.block = {(unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y), (unsigned)(b / grid.x / grid.y)};
        if (Result result = run_block(shared_bytes)) return result;
    }
    return OK;
}

template <class T> constexpr char code() // of an argument, as in replay/kernels/sources.py
{
    if (std::is_pointer<T>::value) return 'P';
    if (std::is_same<T, float>::value) return 'f';
    if (std::is_same<T, double>::value) return 'd';
    return std::is_integral<T>::value ? (sizeof(T) == 4 ? 'i' : sizeof(T) == 8 ? 'Q' : '?') : '?';
}

template <auto> struct Entry;
template <class... A, void (*K)(A...)> struct Entry<K> {
    template <size_t... I> static void call(void** a, std::index_sequence<I...>) { K(*(A*)a[I]...); }
    static void run(void** a)
    {
        do call(a, std::index_sequence_for<A...>());
        while (next_thread());
    }
    static constexpr char signature[] = {code<A>()..., 0};
};

static inline unsigned lane() { return g.current % WARP; }

// Gives a value to the warp and waits for the threads of `mask`; what they gave is then in exchanged_at.
template <class T> static inline void exchange(unsigned mask, T value)
{
    static_assert(sizeof(T) <= 8, "warp operations take up to 8 bytes");
    memcpy(&g.given[g.current], &value, sizeof value);
    g.mask[g.current] = mask;
    ++g.n_at_warp;
    wait(AT_WARP);
}
template <class T> static inline T exchanged_at(unsigned source_lane)
{
    T value;
    memcpy(&value, &g.exchanged[g.current - lane() + source_lane], sizeof value);
    return value;
}
// Shuffles never leave a segment of `width` lanes: a thread whose source lies outside gets its own value.
template <class T> static inline T shuffle(unsigned mask, T value, unsigned source, unsigned width)
{
    const unsigned l = lane();
    exchange(mask, value);
    return exchanged_at<T>((source & ~(width - 1)) == (l & ~(width - 1)) ? source : l);
}

} // namespace on_cpu

#define threadIdx on_cpu::g.thread
#define blockIdx on_cpu::g.block
#define blockDim on_cpu::g.block_dim
#define gridDim on_cpu::g.grid_dim

static inline void __syncthreads() { ++on_cpu::g.n_at_barrier; on_cpu::wait(on_cpu::AT_BARRIER); }
static inline void __syncwarp(unsigned mask = ~0u) { on_cpu::exchange(mask, 0); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

template <class T> static inline T __shfl_sync(unsigned mask, T v, int source, int width = 32)
{
    return on_cpu::shuffle(mask, v, (on_cpu::lane() & ~(width - 1u)) | ((unsigned)source & (width - 1u)), width);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T v, int lane_mask, int width = 32)
{
    return on_cpu::shuffle(mask, v, on_cpu::lane() ^ (unsigned)lane_mask, width);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32)
{
    return on_cpu::shuffle(mask, v, on_cpu::lane() + delta, width);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32)
{
    return on_cpu::shuffle(mask, v, on_cpu::lane() - delta, width);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    unsigned votes = 0;
    on_cpu::exchange(mask, predicate != 0);
    for (unsigned i = 0; i < on_cpu::WARP; ++i)
        if (mask >> i & 1) votes |= (unsigned)on_cpu::exchanged_at<bool>(i) << i;
    return votes;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

namespace on_cpu {
template <class T> struct same { using type = T; }; // as in CUDA, the operand is converted to the pointer's type
template <class T> using Same = typename same<T>::type;
} // namespace on_cpu
template <class T> static inline T atomicAdd(T* p, on_cpu::Same<T> v) { T old = *p; *p = old + v; return old; }
template <class T> static inline T atomicMax(T* p, on_cpu::Same<T> v) { T old = *p; if (v > old) *p = v; return old; }
template <class T> static inline T atomicMin(T* p, on_cpu::Same<T> v) { T old = *p; if (v < old) *p = v; return old; }
template <class T> static inline T atomicExch(T* p, on_cpu::Same<T> v) { T old = *p; *p = v; return old; }
template <class T> static inline T atomicCAS(T* p, on_cpu::Same<T> expected, on_cpu::Same<T> v)
{
    T old = *p;
    if (old == expected) *p = v;
    return old;
}
template <class T> static inline T __ldg(const T* p) { return *p; }

#define __expf(x) expf(x) // glibc declares functions of these names
#define __logf(x) logf(x)
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float x) { return 1.f / x; }
static inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
static inline double rsqrt(double x) { return 1. / sqrt(x); }
static inline float __saturatef(float x) { return fminf(fmaxf(x, 0.f), 1.f); }
static inline int __float_as_int(float x) { int i; memcpy(&i, &x, sizeof i); return i; }
static inline float __int_as_float(int i) { float x; memcpy(&x, &i, sizeof x); return x; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T, class U> static inline std::common_type_t<T, U> min(T a, U b) { return b < a ? b : a; }
template <class T, class U> static inline std::common_type_t<T, U> max(T a, U b) { return a < b ? b : a; }

#define CUDA_ON_CPU_EXPORT(K)                                                                                          \
    extern "C" int cuda_on_cpu_launch_##K(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, \
                                          unsigned shared_bytes, void** arguments, int schedule, int poison)           \
    {                                                                                                                  \
        return on_cpu::launch(&on_cpu::Entry<&K>::run, {gx, gy, gz}, {bx, by, bz}, shared_bytes, arguments, schedule,  \
                              poison);                                                                                 \
    }                                                                                                                  \
    extern "C" const char* cuda_on_cpu_signature_##K() { return on_cpu::Entry<&K>::signature; }
