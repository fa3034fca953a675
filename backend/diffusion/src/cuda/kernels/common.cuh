// What all kernels share: the number types, sums over threads, and how a kernel gets its name.
//
// Values are read as f32, computed in f32 and rounded once when they are stored. Blocks are
// one-dimensional and a multiple of 32 threads long. The same sources compile for a GPU and, with
// EMULATOR defined, for the processor.
#pragma once

#ifdef EMULATOR
#include "../emulator/device.h"
#else
// Array in the memory that the threads of a block share.
#define SHARED(type, name, count) __shared__ type name[count]
#define ENTRY(name)
#endif

// The kernel `name_suffix`, which calls the template `name`.
#define KERNEL(name, suffix, parameters, call)                                                     \
    extern "C" __global__ void name##_##suffix parameters {                                        \
        call;                                                                                      \
    }                                                                                              \
    ENTRY(name##_##suffix)

// Defines a kernel for both number types by a macro of type and suffix.
#define FOR_BOTH_TYPES(define) define(float, f32) define(bf16, bf16)

typedef long long int64;

// The upper half of an f32. Converted here rather than by the toolkit's header, so that tests on
// the processor run the very same conversion.
struct bf16 {
    unsigned short bits;
};

__device__ inline float load(float x) {
    return x;
}

__device__ inline float load(bf16 x) {
    return __uint_as_float((unsigned int)x.bits << 16);
}

__device__ inline void store(float *target, float x) {
    *target = x;
}

// Rounds to the nearest, ties to even; NaN stays NaN.
__device__ inline void store(bf16 *target, float x) {
    unsigned int bits = __float_as_uint(x);
    unsigned int rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    target->bits = (unsigned short)(x == x ? rounded : (bits >> 16) | 0x40u);
}

__device__ inline int lane() {
    return threadIdx.x % 32;
}

__device__ inline int warp() {
    return threadIdx.x / 32;
}

// Index of this thread in the grid, and the number of threads of the grid.
__device__ inline int64 first_index() {
    return (int64)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ inline int64 all_threads() {
    return (int64)gridDim.x * blockDim.x;
}

// Sum over the threads of a warp, for all of them.
__device__ inline float warp_sum(float x) {
    for (int offset = 16; offset > 0; offset /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, offset);
    }
    return x;
}

__device__ inline float warp_max(float x) {
    for (int offset = 16; offset > 0; offset /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    }
    return x;
}

// One value of each warp, to every thread's lane; `rest` fills the lanes beyond the last warp.
__device__ inline float exchange(float x, float rest) {
    SHARED(float, partial, 32);
    // The previous exchange may still be read.
    __syncthreads();
    if (lane() == 0) {
        partial[warp()] = x;
    }
    __syncthreads();
    return lane() < (int)(blockDim.x / 32) ? partial[lane()] : rest;
}

// Sum over the threads of a block, for all of them, in a fixed order.
__device__ inline float block_sum(float x) {
    return warp_sum(exchange(warp_sum(x), 0.0f));
}

__device__ inline float block_max(float x) {
    return warp_max(exchange(warp_max(x), -INFINITY));
}

__device__ inline float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

__device__ inline float normal_cdf(float x) {
    return 0.5f * (1.0f + erff(x * 0.70710678f));
}

__device__ inline float normal_density(float x) {
    return 0.39894228f * expf(-0.5f * x * x);
}
