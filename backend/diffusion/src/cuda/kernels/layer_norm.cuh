// Layer normalisation: one warp a row, and one more pass for the gradients of the affine map.
#pragma once
#include "common.cuh"
#include "sums.cuh"

// Mean and reciprocal standard deviation of one row, for the whole warp, in two passes.
template <typename T>
__device__ float2 row_moments(const T *row, int length, float epsilon) {
    float sum = 0.0f;
    for (int i = lane(); i < length; i += 32) {
        sum += load(row[i]);
    }
    float mean = warp_sum(sum) / length;
    float squares = 0.0f;
    for (int i = lane(); i < length; i += 32) {
        float difference = load(row[i]) - mean;
        squares += difference * difference;
    }
    return make_float2(mean, 1.0f / sqrtf(warp_sum(squares) / length + epsilon));
}

// The row of this warp.
__device__ inline int warp_row() {
    return blockIdx.x * (blockDim.x / 32) + warp();
}

template <typename T>
__device__ void layer_norm(const T *xs, const T *weight, const T *bias, T *ys, int rows, int length,
                           float epsilon) {
    // A whole warp leaves: no other waits for it.
    if (warp_row() >= rows) {
        return;
    }
    const T *x = xs + (int64)warp_row() * length;
    T *y = ys + (int64)warp_row() * length;
    float2 moments = row_moments(x, length, epsilon);
    for (int i = lane(); i < length; i += 32) {
        float n = (load(x[i]) - moments.x) * moments.y;
        store(y + i, n * load(weight[i]) + load(bias[i]));
    }
}

// `dx = scale * (w g - mean(w g) - n * mean(w g n))`; keeps the moments for the sums.
template <typename T>
__device__ void layer_norm_gradient(const T *xs, const T *gradient, const T *weight, T *dx,
                                    float *moments_of, int rows, int length, float epsilon) {
    if (warp_row() >= rows) {
        return;
    }
    int64 start = (int64)warp_row() * length;
    float2 moments = row_moments(xs + start, length, epsilon);
    float plain = 0.0f, weighted = 0.0f;
    for (int i = lane(); i < length; i += 32) {
        float d = load(gradient[start + i]) * load(weight[i]);
        plain += d;
        weighted += d * (load(xs[start + i]) - moments.x) * moments.y;
    }
    plain = warp_sum(plain) / length;
    weighted = warp_sum(weighted) / length;
    for (int i = lane(); i < length; i += 32) {
        float n = (load(xs[start + i]) - moments.x) * moments.y;
        float d = load(gradient[start + i]) * load(weight[i]);
        store(dx + start + i, moments.y * (d - plain - n * weighted));
    }
    if (lane() == 0) {
        moments_of[2 * warp_row()] = moments.x;
        moments_of[2 * warp_row() + 1] = moments.y;
    }
}

// Sums over `chunk` rows: `dw = sum(g n)`, `db = sum(g)`. Blocks as in `column_sums`.
template <typename T>
__device__ void layer_norm_sums(const T *xs, const T *gradient, const float *moments, float *dw,
                                float *db, int rows, int length, int chunk) {
    int column = blockIdx.x * 32 + lane();
    int start = blockIdx.y * chunk, end = min(rows, start + chunk);
    float plain = 0.0f, weighted = 0.0f;
    for (int row = start + warp(); column < length && row < end; row += blockDim.x / 32) {
        int64 at = (int64)row * length + column;
        float g = load(gradient[at]);
        plain += g;
        weighted += g * (load(xs[at]) - moments[2 * row]) * moments[2 * row + 1];
    }
    plain = sum_over_warps(plain);
    weighted = sum_over_warps(weighted);
    if (warp() == 0 && column < length) {
        db[(int64)blockIdx.y * length + column] = plain;
        dw[(int64)blockIdx.y * length + column] = weighted;
    }
}

#define LAYER_NORM(T, S)                                                                           \
    KERNEL(layer_norm, S,                                                                          \
           (const T *xs, const T *weight, const T *bias, T *ys, int rows, int length,              \
            float epsilon),                                                                        \
           layer_norm(xs, weight, bias, ys, rows, length, epsilon))                                \
    KERNEL(layer_norm_gradient, S,                                                                 \
           (const T *xs, const T *gradient, const T *weight, T *dx, float *moments, int rows,      \
            int length, float epsilon),                                                            \
           layer_norm_gradient(xs, gradient, weight, dx, moments, rows, length, epsilon))          \
    KERNEL(layer_norm_sums, S,                                                                     \
           (const T *xs, const T *gradient, const float *moments, float *dw, float *db, int rows,  \
            int length, int chunk),                                                                \
           layer_norm_sums(xs, gradient, moments, dw, db, rows, length, chunk))
FOR_BOTH_TYPES(LAYER_NORM)
