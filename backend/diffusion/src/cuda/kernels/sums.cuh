// Sums of planes and of columns, for gradients of shifts, biases and affine maps.
#pragma once
#include "common.cuh"

// Sum of each plane; one block a plane.
template <typename T, typename U>
__device__ void plane_sums(const T *xs, U *sums, int positions) {
    const T *plane = xs + (int64)blockIdx.x * positions;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < positions; i += blockDim.x) {
        sum += load(plane[i]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        store(sums + blockIdx.x, sum);
    }
}

// Adds up one value of each warp for every lane's column; the first warp gets the sums.
__device__ inline float sum_over_warps(float x) {
    SHARED(float, partial, 1024);
    __syncthreads();
    partial[threadIdx.x] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int i = threadIdx.x; warp() == 0 && i < (int)blockDim.x; i += 32) {
        sum += partial[i];
    }
    return sum;
}

// Sums of 32 columns over `chunk` rows: blocks cover columns in x and chunks of rows in y.
template <typename T, typename U>
__device__ void column_sums(const T *xs, U *sums, int rows, int columns, int chunk) {
    int column = blockIdx.x * 32 + lane();
    int start = blockIdx.y * chunk, end = min(rows, start + chunk);
    float sum = 0.0f;
    for (int row = start + warp(); column < columns && row < end; row += blockDim.x / 32) {
        sum += load(xs[(int64)row * columns + column]);
    }
    sum = sum_over_warps(sum);
    if (warp() == 0 && column < columns) {
        store(sums + (int64)blockIdx.y * columns + column, sum);
    }
}

// `plane_sums` and `column_sums` keep f32; `..._rounded` give the type of the tensor.
#define SUMS(T, S)                                                                                 \
    KERNEL(plane_sums, S, (const T *xs, float *sums, int positions),                               \
           plane_sums(xs, sums, positions))                                                        \
    KERNEL(plane_sums_rounded, S, (const T *xs, T *sums, int positions),                           \
           plane_sums(xs, sums, positions))                                                        \
    KERNEL(column_sums, S, (const T *xs, float *sums, int rows, int columns, int chunk),           \
           column_sums(xs, sums, rows, columns, chunk))                                            \
    KERNEL(column_sums_rounded, S, (const float *xs, T *sums, int rows, int columns, int chunk),   \
           column_sums(xs, sums, rows, columns, chunk))
FOR_BOTH_TYPES(SUMS)
