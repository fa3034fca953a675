// Activations, gated GELU, shifts per channel, and biases as the start of a sum.
#pragma once
#include "common.cuh"

// Values of `Activation` in the order of the enumeration.
enum { SILU, GELU, QUICK_GELU };

// Derivative of x * sigmoid(slope * x).
__device__ inline float swish_gradient(float slope, float x) {
    float s = sigmoid(slope * x);
    return s * (1.0f + slope * x * (1.0f - s));
}

template <typename T> __device__ void activation(const T *xs, T *ys, int kind, int64 total) {
    for (int64 i = first_index(); i < total; i += all_threads()) {
        float x = load(xs[i]);
        float gate = kind == GELU ? normal_cdf(x) : sigmoid(kind == SILU ? x : 1.702f * x);
        store(ys + i, x * gate);
    }
}

template <typename T>
__device__ void activation_gradient(const T *xs, const T *gradient, T *dx, int kind, int64 total) {
    for (int64 i = first_index(); i < total; i += all_threads()) {
        float x = load(xs[i]);
        float slope = kind == GELU ? normal_cdf(x) + x * normal_density(x)
                                   : swish_gradient(kind == SILU ? 1.0f : 1.702f, x);
        store(dx + i, load(gradient[i]) * slope);
    }
}

// One block a row; the first half of a row is scaled by the GELU of the second.
template <typename T> __device__ void geglu(const T *xs, T *ys, int half) {
    const T *a = xs + 2 * (int64)half * blockIdx.x, *g = a + half;
    T *y = ys + (int64)half * blockIdx.x;
    for (int i = threadIdx.x; i < half; i += blockDim.x) {
        float gate = load(g[i]);
        store(y + i, load(a[i]) * gate * normal_cdf(gate));
    }
}

template <typename T>
__device__ void geglu_gradient(const T *xs, const T *gradient, T *dx, int half) {
    const T *a = xs + 2 * (int64)half * blockIdx.x, *g = a + half;
    const T *outer = gradient + (int64)half * blockIdx.x;
    T *da = dx + 2 * (int64)half * blockIdx.x, *dg = da + half;
    for (int i = threadIdx.x; i < half; i += blockDim.x) {
        float gate = load(g[i]), d = load(outer[i]), cdf = normal_cdf(gate);
        store(da + i, d * gate * cdf);
        store(dg + i, d * load(a[i]) * (cdf + gate * normal_density(gate)));
    }
}

// One block a plane of one image and channel.
template <typename T>
__device__ void add_to_channels(const T *xs, const T *shift, T *ys, int positions) {
    int64 start = (int64)blockIdx.x * positions;
    float added = load(shift[blockIdx.x]);
    for (int i = threadIdx.x; i < positions; i += blockDim.x) {
        store(ys + start + i, load(xs[start + i]) + added);
    }
}

// Every row of `ys` becomes the bias; one block a row.
template <typename T> __device__ void fill_rows(const T *bias, T *ys, int columns) {
    T *row = ys + (int64)blockIdx.x * columns;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        row[i] = bias[i];
    }
}

// Every plane of `ys` becomes its channel's bias; one block a plane.
template <typename T> __device__ void fill_planes(const T *bias, T *ys, int channels, int positions) {
    T *plane = ys + (int64)blockIdx.x * positions;
    T value = bias[blockIdx.x % channels];
    for (int i = threadIdx.x; i < positions; i += blockDim.x) {
        plane[i] = value;
    }
}

// Values of f32, rounded.
template <typename T> __device__ void rounded(const float *xs, T *ys, int64 total) {
    for (int64 i = first_index(); i < total; i += all_threads()) {
        store(ys + i, xs[i]);
    }
}

#define POINTWISE(T, S)                                                                            \
    KERNEL(activation, S, (const T *xs, T *ys, int kind, int64 total),                             \
           activation(xs, ys, kind, total))                                                        \
    KERNEL(activation_gradient, S,                                                                 \
           (const T *xs, const T *gradient, T *dx, int kind, int64 total),                         \
           activation_gradient(xs, gradient, dx, kind, total))                                     \
    KERNEL(geglu, S, (const T *xs, T *ys, int half), geglu(xs, ys, half))                          \
    KERNEL(geglu_gradient, S, (const T *xs, const T *gradient, T *dx, int half),                   \
           geglu_gradient(xs, gradient, dx, half))                                                 \
    KERNEL(add_to_channels, S, (const T *xs, const T *shift, T *ys, int positions),                \
           add_to_channels(xs, shift, ys, positions))                                              \
    KERNEL(fill_rows, S, (const T *bias, T *ys, int columns), fill_rows(bias, ys, columns))        \
    KERNEL(fill_planes, S, (const T *bias, T *ys, int channels, int positions),                    \
           fill_planes(bias, ys, channels, positions))                                             \
    KERNEL(rounded, S, (const float *xs, T *ys, int64 total), rounded(xs, ys, total))
FOR_BOTH_TYPES(POINTWISE)
