// Group normalisation with or without SiLU: moments per group, then one block a plane.
#pragma once
#include "common.cuh"

// Mean and reciprocal standard deviation of each group of `length` values, in two passes.
template <typename T>
__device__ void group_moments(const T *xs, float *moments, int length, float epsilon) {
    const T *group = xs + (int64)blockIdx.x * length;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        sum += load(group[i]);
    }
    float mean = block_sum(sum) / length;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        float difference = load(group[i]) - mean;
        squares += difference * difference;
    }
    squares = block_sum(squares);
    if (threadIdx.x == 0) {
        moments[2 * blockIdx.x] = mean;
        moments[2 * blockIdx.x + 1] = 1.0f / sqrtf(squares / length + epsilon);
    }
}

// Sizes of a call; planes are counted by image, then channel.
struct Groups {
    int channels, channels_per_group, positions, silu;
};

// Gradient before the affine map, where `v` is its result.
__device__ inline float before_affine(float gradient, float v, int silu) {
    float s = sigmoid(v);
    return silu ? gradient * s * (1.0f + v * (1.0f - s)) : gradient;
}

template <typename T>
__device__ void group_norm(const T *xs, const float *moments, const T *weight, const T *bias, T *ys,
                           Groups sizes) {
    int channel = blockIdx.x % sizes.channels, group = blockIdx.x / sizes.channels_per_group;
    float mean = moments[2 * group], scale = moments[2 * group + 1];
    float w = load(weight[channel]), b = load(bias[channel]);
    int64 start = (int64)blockIdx.x * sizes.positions;
    for (int i = threadIdx.x; i < sizes.positions; i += blockDim.x) {
        float v = w * ((load(xs[start + i]) - mean) * scale) + b;
        store(ys + start + i, sizes.silu ? v * sigmoid(v) : v);
    }
}

// Per plane, with `d` the gradient before the affine map and `n` the normalised input:
// `db = sum(d)` and `dw = sum(d n)`.
template <typename T>
__device__ void group_norm_sums(const T *xs, const T *gradient, const float *moments,
                                const T *weight, const T *bias, float *dw, float *db,
                                Groups sizes) {
    int channel = blockIdx.x % sizes.channels, group = blockIdx.x / sizes.channels_per_group;
    float mean = moments[2 * group], scale = moments[2 * group + 1];
    float w = load(weight[channel]), b = load(bias[channel]);
    int64 start = (int64)blockIdx.x * sizes.positions;
    float plain = 0.0f, weighted = 0.0f;
    for (int i = threadIdx.x; i < sizes.positions; i += blockDim.x) {
        float n = (load(xs[start + i]) - mean) * scale;
        float d = before_affine(load(gradient[start + i]), w * n + b, sizes.silu);
        plain += d;
        weighted += d * n;
    }
    plain = block_sum(plain);
    weighted = block_sum(weighted);
    if (threadIdx.x == 0) {
        db[blockIdx.x] = plain;
        dw[blockIdx.x] = weighted;
    }
}

// `dx = scale * (w d - mean(w d) - n * mean(w d n))`, means over the group.
template <typename T>
__device__ void group_norm_gradient(const T *xs, const T *gradient, const float *moments,
                                    const T *weight, const T *bias, const float *dw,
                                    const float *db, T *dx, Groups sizes) {
    int channel = blockIdx.x % sizes.channels, group = blockIdx.x / sizes.channels_per_group;
    // First channel and first plane of the group.
    int channels_from = channel - channel % sizes.channels_per_group;
    int planes_from = group * sizes.channels_per_group;
    float plain = 0.0f, weighted = 0.0f;
    for (int i = threadIdx.x; i < sizes.channels_per_group; i += blockDim.x) {
        plain += load(weight[channels_from + i]) * db[planes_from + i];
        weighted += load(weight[channels_from + i]) * dw[planes_from + i];
    }
    float count = (float)sizes.channels_per_group * sizes.positions;
    plain = block_sum(plain) / count;
    weighted = block_sum(weighted) / count;
    float mean = moments[2 * group], scale = moments[2 * group + 1];
    float w = load(weight[channel]), b = load(bias[channel]);
    int64 start = (int64)blockIdx.x * sizes.positions;
    for (int i = threadIdx.x; i < sizes.positions; i += blockDim.x) {
        float n = (load(xs[start + i]) - mean) * scale;
        float d = before_affine(load(gradient[start + i]), w * n + b, sizes.silu);
        store(dx + start + i, scale * (d * w - plain - n * weighted));
    }
}

#define GROUP_SIZES int channels, int channels_per_group, int positions, int silu
#define GROUP_SIZES_OF Groups{channels, channels_per_group, positions, silu}
#define GROUP_NORM(T, S)                                                                           \
    KERNEL(group_moments, S, (const T *xs, float *moments, int length, float epsilon),             \
           group_moments(xs, moments, length, epsilon))                                            \
    KERNEL(group_norm, S,                                                                          \
           (const T *xs, const float *moments, const T *weight, const T *bias, T *ys,              \
            GROUP_SIZES),                                                                          \
           group_norm(xs, moments, weight, bias, ys, GROUP_SIZES_OF))                              \
    KERNEL(group_norm_sums, S,                                                                     \
           (const T *xs, const T *gradient, const float *moments, const T *weight, const T *bias,  \
            float *dw, float *db, GROUP_SIZES),                                                    \
           group_norm_sums(xs, gradient, moments, weight, bias, dw, db, GROUP_SIZES_OF))           \
    KERNEL(group_norm_gradient, S,                                                                 \
           (const T *xs, const T *gradient, const float *moments, const T *weight, const T *bias,  \
            const float *dw, const float *db, T *dx, GROUP_SIZES),                                 \
           group_norm_gradient(xs, gradient, moments, weight, bias, dw, db, dx, GROUP_SIZES_OF))
FOR_BOTH_TYPES(GROUP_NORM)
